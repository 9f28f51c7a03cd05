"""Language models. A client is imported only if it is used, because its libraries are optional."""
