#!/usr/bin/env bash
# Once, when the cluster is made: the hotel's user, an ordinary one. PostgreSQL keeps a few connections for superusers,
# so that an operator gets in when applications have taken all others.
psql -v ON_ERROR_STOP=1 -q -U postgres -d postgres <<'SQL'
\getenv password DATABASE_PASSWORD
create role hotel login password :'password';
create database hotel owner hotel;
SQL
