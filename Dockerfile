# Airflow with the pinned requirements and the project's code. Build it anew when either changes, or mount the code
# (docker-compose.develop.yaml).
FROM apache/airflow:3.3.2-python3.11

# Everything is pinned, what Airflow itself needs included, so that nothing is left to resolve.
COPY --chown=airflow:0 requirements-cluster.txt /opt/airflow/
# Compiled here once: without bytecode every process takes several times as long to start.
RUN pip install --no-cache-dir --no-deps -r /opt/airflow/requirements-cluster.txt
# (It fails for templates that some packages carry, which are no Python.)
RUN python -m compileall -q -j 0 "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >/dev/null || true

COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 include /opt/airflow/include

# The volume of secrets takes its owner from the folder that it covers.
RUN python -m compileall -q /opt/airflow/dags /opt/airflow/plugins /opt/airflow/include && mkdir -m 700 /opt/airflow/secrets

ENV PYTHONPATH=/opt/airflow
