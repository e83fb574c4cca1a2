#!/bin/sh
# Names of the registry and of the provider, a CA of the provider that this host trusts, and an environment for its packages.
set -eu
folder=/srv/tls
mkdir -p $folder
address=$(hostname -I | cut -d' ' -f1)
echo "$address identity.example.test registry.example.test" >>/etc/hosts
openssl req -x509 -newkey rsa:2048 -nodes -keyout $folder/ca.key -out $folder/ca.pem -days 30 -subj "/CN=the provider's CA" \
  -addext keyUsage=critical,keyCertSign 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout $folder/key.pem -subj /CN=identity.example.test -out $folder/request 2>/dev/null
echo subjectAltName=DNS:identity.example.test >$folder/names
openssl x509 -req -in $folder/request -CA $folder/ca.pem -CAkey $folder/ca.key -CAcreateserial -days 30 -extfile $folder/names \
  -out $folder/identity.example.test.pem 2>/dev/null
cp $folder/ca.pem /usr/local/share/ca-certificates/provider.crt
update-ca-certificates >/dev/null
python3 -m venv /srv/identity
