// SPDX-License-Identifier: Apache-2.0
// One check of the kafkajs client: node kafkajs_checks.js CHECK ADDRESS TOPIC. What it throws fails it.
'use strict'
const assert = require('node:assert')
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = require('kafkajs')

async function withAdmin (kafka, body) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await body(admin)
  } finally {
    await admin.disconnect()
  }
}

async function withProducer (kafka, options, body) {
  const producer = kafka.producer(options)
  await producer.connect()
  try {
    return await body(producer)
  } finally {
    await producer.disconnect()
  }
}

const checks = {
  async adminMakesDescribesAndDeletesTopics (kafka, topic) {
    await withAdmin(kafka, async admin => {
      assert.equal(await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 3 }] }), true)
      assert.equal(await admin.createTopics({ topics: [{ topic }] }), false)
      assert.ok((await admin.listTopics()).includes(topic))
      await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
      const { topics: [told] } = await admin.fetchTopicMetadata({ topics: [topic] })
      assert.deepEqual(told.partitions.map(each => each.partitionId).sort(), [0, 1, 2, 3, 4])
      assert.ok(told.partitions.every(each => each.leader === 1 && each.isr.length === 1))
      await admin.deleteTopics({ topics: [topic] })
      assert.ok(!(await admin.listTopics()).includes(topic))
    })
  },

  async adminReadsAndChangesSettings (kafka, topic) {
    await withAdmin(kafka, async admin => {
      await admin.createTopics({ topics: [{ topic, configEntries: [{ name: 'retention.ms', value: '9000' }] }] })
      const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
      const read = async () => (await admin.describeConfigs({
        includeSynonyms: false, resources: [{ ...resource, configNames: ['retention.ms'] }]
      })).resources[0].configEntries.map(each => [each.configName, each.configValue])
      assert.deepEqual(await read(), [['retention.ms', '9000']])
      await admin.alterConfigs({
        validateOnly: false,
        resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '8000' }] }]
      })
      assert.deepEqual(await read(), [['retention.ms', '8000']])
    })
  },

  async adminTellsTheCluster (kafka) {
    await withAdmin(kafka, async admin => {
      const told = await admin.describeCluster()
      assert.equal(told.clusterId.length, 22)
      assert.deepEqual(told.brokers.map(each => each.nodeId), [1])
    })
  },

  async producerSendsBatchesWithAndWithoutCompression (kafka, topic) {
    await withAdmin(kafka, admin => admin.createTopics({ waitForLeaders: true, topics: [{ topic }] }))
    await withProducer(kafka, {}, async producer => {
      for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
        const messages = Array.from({ length: 100 }, (_, i) =>
          ({ key: `k${i}`, value: `v${i}`, headers: { h: `${i}` }, timestamp: `${1700000000000 + i}` }))
        const [told] = await producer.send({ topic, compression, messages })
        assert.equal(told.errorCode, 0)
        assert.equal(told.baseOffset, compression === CompressionTypes.None ? '0' : '100')
      }
    })
  },

  async idempotentProducerSends (kafka, topic) {
    await withAdmin(kafka, admin => admin.createTopics({ waitForLeaders: true, topics: [{ topic }] }))
    await withProducer(kafka, { idempotent: true, maxInFlightRequests: 1 }, async producer => {
      for (let i = 0; i < 10; i++) {
        const [told] = await producer.send({ topic, acks: -1, messages: [{ value: `v${i}` }] })
        assert.equal(told.baseOffset, `${i}`)
      }
    })
  },

  async adminFindsOffsetsAndDeletesRecords (kafka, topic) {
    await withAdmin(kafka, async admin => {
      await admin.createTopics({ waitForLeaders: true, topics: [{ topic }] })
      await withProducer(kafka, {}, producer => producer.send({
        topic, messages: [1000, 2000, 3000].map(time => ({ value: 'v', timestamp: `${time}` }))
      }))
      const [{ low, high }] = await admin.fetchTopicOffsets(topic)
      assert.deepEqual([low, high], ['0', '3'])
      const [{ offset }] = await admin.fetchTopicOffsetsByTimestamp(topic, 1500)
      assert.equal(offset, '1')
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] })
      assert.equal((await admin.fetchTopicOffsets(topic))[0].low, '2')
    })
  }
}

const [, , check, address, topic] = process.argv
if (check === 'list') {
  console.log(Object.keys(checks).join('\n'))
} else {
  const kafka = new Kafka({ clientId: 'checks', brokers: [address], logLevel: logLevel.WARN, retry: { retries: 3 } })
  checks[check](kafka, topic).then(() => process.exit(0), error => {
    console.error(error)
    process.exit(1)
  })
}
