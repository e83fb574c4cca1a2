#!/bin/sh
# A directory in this container: slapd of the distribution with TLS from a CA of its own, people and groups.
set -eu
owner="the owner of the directory"
debconf-set-selections <<END
slapd slapd/domain string example.test
slapd shared/organization string example
slapd slapd/password1 password $owner
slapd slapd/password2 password $owner
END
apt-get -q update >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends slapd ldap-utils openssl >/dev/null 2>&1
echo "127.0.0.1 directory.example.test other.example.test" >>/etc/hosts
sed -i 's,^SLAPD_SERVICES=.*,SLAPD_SERVICES="ldap://127.0.0.1/ ldaps://127.0.0.1/ ldapi:///",' /etc/default/slapd
systemctl restart slapd

folder=/etc/ldap/tls
base="dc=example,dc=test"
mkdir -p $folder

certificate() { # NAME
  openssl req -newkey rsa:2048 -nodes -keyout "$folder/$1.key" -subj "/CN=$1" -out "$folder/$1.csr" 2>/dev/null
  printf 'subjectAltName=DNS:%s\n' "$1" >"$folder/$1.ext"
  openssl x509 -req -in "$folder/$1.csr" -CA $folder/ca.pem -CAkey $folder/ca.key -CAcreateserial -days 30 \
    -extfile "$folder/$1.ext" -out "$folder/$1.pem" 2>/dev/null
}

openssl req -x509 -newkey rsa:2048 -nodes -keyout $folder/ca.key -out $folder/ca.pem -days 30 -subj "/CN=the directory's CA" \
  -addext keyUsage=critical,keyCertSign 2>/dev/null
certificate directory.example.test
chown -R openldap $folder

# Nobody may search without a name, as in most companies. An empty password with a name is let in: that is an LDAP server's
# default in the protocol, and what the login must not take for a proof.
ldapmodify -Q -Y EXTERNAL -H ldapi:/// >/dev/null <<END
dn: cn=config
changetype: modify
replace: olcTLSCACertificateFile
olcTLSCACertificateFile: $folder/ca.pem
-
replace: olcTLSCertificateFile
olcTLSCertificateFile: $folder/directory.example.test.pem
-
replace: olcTLSCertificateKeyFile
olcTLSCertificateKeyFile: $folder/directory.example.test.key
-
replace: olcAllows
olcAllows: bind_anon_cred bind_anon_dn

dn: olcDatabase={1}mdb,cn=config
changetype: modify
replace: olcAccess
olcAccess: {0}to attrs=userPassword by anonymous auth by * none
olcAccess: {1}to * by dn.exact="cn=registry,$base" read by * none
END

{
  printf 'dn: ou=people,%s\nobjectClass: organizationalUnit\n\n' "$base"
  printf 'dn: ou=groups,%s\nobjectClass: organizationalUnit\n\n' "$base"
  printf 'dn: cn=registry,%s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\nuserPassword: %s\n\n' \
    "$base" "$(slappasswd -s 'what the registry searches with')"
  for name in alice bob mallory admin; do
    printf 'dn: uid=%s,ou=people,%s\nobjectClass: inetOrgPerson\ncn: %s\nsn: %s\nuserPassword: %s\n\n' \
      "$name" "$base" "$name" "$name" "$(slappasswd -s "$name has a password")"
  done
  printf 'dn: cn=registry-admins,ou=groups,%s\nobjectClass: groupOfNames\nmember: uid=alice,ou=people,%s\nmember: uid=admin,ou=people,%s\n\n' \
    "$base" "$base" "$base"
  printf 'dn: cn=registry-users,ou=groups,%s\nobjectClass: groupOfNames\nmember: uid=bob,ou=people,%s\n\n' "$base" "$base"
  printf 'dn: cn=others,ou=groups,%s\nobjectClass: groupOfNames\nmember: uid=mallory,ou=people,%s\n\n' "$base" "$base"
} | ldapadd -x -H ldapi:/// -D "cn=admin,$base" -w "$owner" >/dev/null
