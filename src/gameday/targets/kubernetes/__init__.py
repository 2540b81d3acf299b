"""The target `kubernetes`: components are pods of one namespace of one cluster."""
