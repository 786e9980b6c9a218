"""What tests stand on: the real broker, the real store, simulators of providers, invented families."""
