#!/bin/sh
# Makes the certificates and the keys of this folder. Run it in the folder.
set -eu

# Not an authority, as openssl's own settings would make it: rustls refuses such a server.
cat > settings.cnf <<'END'
[req]
distinguished_name = name
x509_extensions = extensions
[name]
[extensions]
subjectAltName = DNS:localhost
END

self_signed() { # key, certificate
    openssl req -x509 -new -key "$1" -out "$2" -days 36500 -subj /CN=localhost \
        -config settings.cnf
}

openssl genrsa -out rsa_pkcs8.key 2048
openssl rsa -in rsa_pkcs8.key -traditional -out rsa_pkcs1.key
self_signed rsa_pkcs8.key rsa.pem

openssl genrsa -out rsa1024.key 1024
self_signed rsa1024.key rsa1024.pem

for curve in prime256v1 secp384r1 secp521r1; do
    # With the parameters of the curve before the key, as openssl writes them by default.
    openssl ecparam -name "$curve" -genkey -out "$curve.sec1.key"
    openssl pkcs8 -topk8 -nocrypt -in "$curve.sec1.key" -out "$curve.pkcs8.key"
    self_signed "$curve.sec1.key" "$curve.pem"
done

openssl genpkey -algorithm ed25519 -out ed25519.key
self_signed ed25519.key ed25519.pem

openssl pkcs8 -topk8 -in prime256v1.sec1.key -passout pass:secret -out encrypted_pkcs8.key
openssl rsa -in rsa_pkcs8.key -traditional -aes128 -passout pass:secret -out encrypted_pkcs1.key

# Version 1: without extensions.
openssl req -new -key prime256v1.sec1.key -subj /CN=localhost -out request.csr
openssl x509 -req -in request.csr -signkey prime256v1.sec1.key -days 36500 -out version1.pem \
    -extfile /dev/null
openssl x509 -in prime256v1.pem -text -out with_text.pem
openssl x509 -in prime256v1.pem -outform der -out prime256v1.der

# An OCSP response for the certificate, which is its own issuer, and one that refuses.
serial=$(openssl x509 -in prime256v1.pem -noout -serial | cut -d= -f2)
printf 'V\t21250101000000Z\t\t%s\tunknown\t/CN=localhost\n' "$serial" > index.txt
openssl ocsp -index index.txt -CA prime256v1.pem -rsigner prime256v1.pem -rkey prime256v1.sec1.key \
    -issuer prime256v1.pem -cert prime256v1.pem -ndays 36500 -respout good.ocsp
printf '0\003\n\001\003' > try_later.ocsp
rm -f index.txt request.csr settings.cnf
