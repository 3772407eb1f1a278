#!/usr/bin/env bash
# Installs the peers that `npm run bench -- peers` measures beside Posthaste. For Debian and its kin, as root.
set -euo pipefail
apt-get update -q
apt-get install -q -y --no-install-recommends mosquitto
# Debian starts it as a service; the bench starts its own.
systemctl disable --now mosquitto 2>/dev/null || true
