"""Experience with tables: what a table is like, and which pipelines suit such tables."""
