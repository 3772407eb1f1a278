#!/usr/bin/env bash
# Installs the peers that `npm run bench -- peers` measures beside Posthaste: those that Debian has, and with a Go toolchain the
# newest NATS. Aedes and Socket.IO come with `npm ci`. For Debian and its kin, as root. What can't be installed is said and left out.
set -euo pipefail
cd "$(dirname "$0")"

apt-get update -q
for package in mosquitto nats-server redis-server rabbitmq-server ejabberd; do
  apt-get install -q -y --no-install-recommends "$package" || echo "install.sh: $package could not be installed: the bench skips it"
  # Debian starts each of them as a service; the bench starts its own.
  systemctl disable --now "$package" 2>/dev/null || service "$package" stop 2>/dev/null || true
done
# Erlang's port mapper stays behind RabbitMQ and ejabberd; the bench starts neither with it.
systemctl disable --now epmd.service epmd.socket 2>/dev/null || true

if command -v go >/dev/null; then
  # A version that needs a newer Go than there is would fetch a toolchain: the newest that this one builds is taken.
  GOBIN="$PWD/.bin" GOFLAGS="-p=1 -trimpath" go install github.com/nats-io/nats-server/v2@latest ||
    echo "install.sh: the newest NATS could not be built: the bench skips it"
else
  echo "install.sh: there is no Go toolchain: the bench skips the newest NATS"
fi
