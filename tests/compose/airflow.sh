# As in Airflow's image: what is no program is one of Airflow's own commands.
case "$1" in
    airflow | bash | python) exec "$@" ;;
    *) exec airflow "$@" ;;
esac
