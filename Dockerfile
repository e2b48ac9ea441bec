# Airflow with the pinned requirements and the project's code. Build it anew when either changes, or mount the code
# (docker-compose.develop.yaml).
# `python -m include images --write .env` pins the image below by its digest (docs/security.md, "Supply chain").
ARG AIRFLOW_IMAGE
FROM ${AIRFLOW_IMAGE:-apache/airflow:3.3.2-python3.11}

# An environment of its own, of the pins alone: what the base image brings beyond them would stay as it is, and fit no more.
RUN python -m venv /home/airflow/ratchet
ENV PATH=/home/airflow/ratchet/bin:$PATH PIP_USER=0
COPY --chown=airflow:0 hashes /opt/airflow/hashes
# Names of hashes/<name>.txt (requirements-<name>.txt) beyond what everybody needs, with blanks between them, such as "mlflow openlineage".
ARG RATCHET_EXTRAS=""
# Everything is pinned, what Airflow itself needs included, so that nothing is left to resolve, only to check: each archive by
# its hash, and then whether all fit. What builds the two that come as source alone is pinned as well, and is no build's own choice.
# The reports name the archives; `python -m include sbom` reads them.
RUN pip install --no-cache-dir --require-hashes --report /home/airflow/ratchet/pip-build.json -r /opt/airflow/hashes/build.txt \
    && pip install --no-cache-dir --require-hashes --no-deps --no-build-isolation --report /home/airflow/ratchet/pip-pins.json \
    -r /opt/airflow/hashes/cluster.txt \
    $(for extra in $RATCHET_EXTRAS; do echo "-r /opt/airflow/hashes/$extra.txt"; done) && pip check
# Compiled here once: without bytecode every process takes several times as long to start.
# (It fails for templates that some packages carry, which are no Python.)
RUN python -m compileall -q -j 0 "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >/dev/null || true

COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 include /opt/airflow/include

# Volumes take their owner from the folder that they cover; Grafana, of the same group, reads its own password only.
RUN python -m compileall -q /opt/airflow/dags /opt/airflow/plugins /opt/airflow/include \
    && mkdir -m 700 /opt/airflow/secrets && mkdir -m 750 /opt/airflow/passwords

ENV PYTHONPATH=/opt/airflow
