// SPDX-License-Identifier: Apache-2.0
// kafkajs_group.js ADDRESS TOPIC COUNT: two members of the group TOPIC read COUNT records between them.
const { Kafka, logLevel } = require("kafkajs");

const [address, topic, count] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [address], logLevel: logLevel.ERROR });
const seen = new Set();

async function member() {
  const consumer = kafka.consumer({ groupId: topic, sessionTimeout: 10000, heartbeatInterval: 500 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      seen.add(`${partition}@${message.offset}`);
    },
  });
  return consumer;
}

async function main() {
  const members = [await member(), await member()];
  const deadline = Date.now() + 60000;
  while (seen.size < Number(count)) {
    if (Date.now() > deadline) throw new Error(`${seen.size} of ${count} records came`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  for (const each of members) await each.disconnect();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
