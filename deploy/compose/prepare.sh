#!/bin/sh
# Makes the secrets that the containers share, where they are not there yet: keys, admin token, the database's password.
# usage: prepare.sh FOLDER
set -eu
umask 077
folder=$1

random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# Whoever reads a file finds all of it or none.
keep() {
  cat > "$folder/$1.new"
  mv "$folder/$1.new" "$folder/$1"
}

[ -e "$folder/keys.toml" ] || vestibule keys --file "$folder/keys.toml" new
[ -s "$folder/admin-token" ] || random | keep admin-token
[ -s "$folder/postgres-password" ] || random | keep postgres-password
printf 'postgres://vestibule:%s@postgres:5432/booking' "$(cat "$folder/postgres-password")" | keep database-url
