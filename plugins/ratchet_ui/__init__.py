"""Ratchet inside Airflow's own web server."""
