"""gRPC between nodes: the only importer of grpc and of generated code.

grpcio has no setting for the TLS version. With this one cipher suite of TLS 1.2, which needs an RSA key,
and the federation's ECDSA keys, only TLS 1.3 can be agreed (its suites are not affected). gRPC reads the
variable when it makes its first credentials, so it is set before grpc is imported here, and not left to
the environment.
"""

import os

os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES256-GCM-SHA384"
# gRPC's own lines on stderr are no JSON and name addresses; what matters in them is logged at our border.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
