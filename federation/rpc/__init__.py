"""gRPC between nodes: the only importer of grpc and of generated code."""
