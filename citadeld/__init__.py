"""The certificate authority: attest, sign, renew, publish trust."""
