#!/bin/sh
# Makes what the containers share, where it is not there yet: keys, admin token, the booking API's configuration.
# usage: prepare.sh FOLDER TEMPLATE
set -eu
umask 077
folder=$1 template=$2

[ -e "$folder/keys.toml" ] || vestibule keys --file "$folder/keys.toml" new
if [ ! -s "$folder/admin-token" ]; then
  od -An -N16 -tx1 /dev/urandom | tr -d ' \n' > "$folder/admin-token.new"
  mv "$folder/admin-token.new" "$folder/admin-token"
fi
sed "s/@ADMIN_TOKEN@/$(cat "$folder/admin-token")/" "$template" > "$folder/booking.toml.new"
mv "$folder/booking.toml.new" "$folder/booking.toml"
