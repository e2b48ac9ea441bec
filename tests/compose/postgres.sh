# As much of the public image's entry point as docker-compose.yaml asks for.
set -eu
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    install -d -o postgres -m 700 $data
    install -o postgres -m 600 /dev/null /tmp/password
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    as_postgres initdb -D $data -U "$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256
    echo 'host all all all scram-sha-256' >>$data/pg_hba.conf
    echo "CREATE DATABASE $POSTGRES_DB" | as_postgres postgres --single -D $data postgres
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups \
    postgres -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp
