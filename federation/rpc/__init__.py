"""gRPC between nodes: the only importer of grpc and of generated code.

grpcio has no setting for the TLS version. With this one cipher suite of TLS 1.2, which needs an RSA key, and
the federation's ECDSA keys, only TLS 1.3 can be agreed (its suites are not affected). gRPC reads the
variable when it is imported, so it is set here, whatever the environment says, before any module of this
package imports grpc. What imports grpc itself imports this package first.
"""

import os
import sys

_CIPHERS = ("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384")

if "grpc" in sys.modules and os.environ.get(_CIPHERS[0]) != _CIPHERS[1]:
    raise ImportError("grpc was imported before federation.rpc, so TLS 1.2 could be agreed")
os.environ[_CIPHERS[0]] = _CIPHERS[1]
# gRPC's own lines on stderr are no JSON and name addresses; what matters in them is logged at our border.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
