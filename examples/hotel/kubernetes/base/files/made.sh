#!/usr/bin/env bash
# The last of the scripts that make the cluster: from now on it is whole.
rm /backup/making
