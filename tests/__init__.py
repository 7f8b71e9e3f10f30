import federation.rpc  # noqa: F401  # before any test imports grpc: it sets what gRPC reads at its import
