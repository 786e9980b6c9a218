#!/bin/bash
# Starts the Kafka container: formats its folder once, with its first user, then runs the node.
set -euo pipefail
umask 077
secrets=/keys/secrets
admin=$(cat "$secrets/kafka-admin")
controller=$(cat "$secrets/kafka-controller")
scram=org.apache.kafka.common.security.scram.ScramLoginModule
plain=org.apache.kafka.common.security.plain.PlainLoginModule
settings=/tmp/server.properties
cat > "$settings" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:9093
listeners=CLIENT://:9092,HOST://:9094,CONTROLLER://localhost:9093
advertised.listeners=CLIENT://kafka:9092,HOST://127.0.0.1:9094
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,HOST:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=SCRAM-SHA-256
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-256
sasl.mechanism.controller.protocol=PLAIN
listener.name.client.scram-sha-256.sasl.jaas.config=$scram required username="admin" password="$admin";
listener.name.host.scram-sha-256.sasl.jaas.config=$scram required;
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config=$plain required username="controller" password="$controller" user_controller="$controller";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:admin;User:controller
auto.create.topics.enable=false
log.dirs=/var/lib/kafka/data
message.max.bytes=1048576
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=12
offsets.retention.minutes=525600
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
EOF
if [ ! -f /var/lib/kafka/data/meta.properties ]; then
  arguments=/tmp/format.arguments
  printf '%s\n' format --cluster-id "$(/opt/kafka/bin/kafka-storage.sh random-uuid)" --config "$settings" \
    --add-scram "SCRAM-SHA-256=[name=admin,password=$admin]" > "$arguments"
  /opt/kafka/bin/kafka-storage.sh "@$arguments"
  rm "$arguments"
fi
exec /opt/kafka/bin/kafka-server-start.sh "$settings"
