#!/usr/bin/env bash
# Installs the peers that `npm run bench -- peers` measures beside Posthaste: those that Debian has, and with a Go toolchain the
# newest NATS. Aedes and Socket.IO come with `npm ci`. For Debian and its kin, as root. What can't be installed is said and left out.
set -euo pipefail
cd "$(dirname "$0")"

is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

apt-get update -q
for package in mosquitto nats-server redis-server rabbitmq-server ejabberd; do
  # Whoever has it already may use its service.
  is_installed "$package" && continue
  if ! apt-get install -q -y --no-install-recommends "$package"; then
    echo "install.sh: $package could not be installed: the bench leaves it out"
    continue
  fi
  # Debian starts it as a service; the bench starts its own.
  systemctl disable --now "$package" 2>/dev/null || service "$package" stop 2>/dev/null || true
done
# RabbitMQ and ejabberd leave Erlang's port mapper running, for nobody when no node is registered.
if command -v epmd >/dev/null && epmd -names 2>/dev/null | grep -q '^epmd' && ! epmd -names | grep -q '^name'; then
  epmd -kill >/dev/null
fi

if command -v go >/dev/null; then
  GOBIN="$PWD/.bin" go install -trimpath github.com/nats-io/nats-server/v2@latest ||
    echo "install.sh: the newest NATS could not be built: the bench leaves it out"
else
  echo "install.sh: there is no Go toolchain: the bench leaves out the newest NATS"
fi
