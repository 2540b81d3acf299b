"""The target `docker`: compose projects and single containers of one engine."""
