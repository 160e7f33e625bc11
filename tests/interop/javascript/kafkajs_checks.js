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

function transactional (kafka, transactionalId) {
  return kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })
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
  },

  async transactionalProducerCommitsAndAborts (kafka, topic) {
    await withAdmin(kafka, admin => admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 2 }] }))
    const producer = transactional(kafka, topic)
    await producer.connect()
    const expected = [[], []]
    for (let i = 0; i < 8; i++) {
      const transaction = await producer.transaction()
      for (const partition of [0, 1]) {
        await transaction.send({ topic, messages: ['a', 'b'].map(each => ({ partition, value: `${each}${i}` })) })
      }
      if (i % 3 === 1) {
        await transaction.abort()
      } else {
        await transaction.commit()
        expected.forEach(values => values.push(`a${i}`, `b${i}`))
      }
    }
    await producer.disconnect()
    const found = [[], []]
    const consumer = kafka.consumer({ groupId: topic, readUncommitted: false, maxWaitTimeInMs: 100 })
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`found ${JSON.stringify(found)}`)), 30000)
      consumer.run({
        eachMessage: async ({ partition, message }) => {
          found[partition].push(message.value.toString())
          if (found.flat().length === expected.flat().length) {
            resolve()
          }
        }
      })
    })
    await consumer.disconnect()
    assert.deepEqual(found, expected)
  },

  async transactionalProducerSendsOffsets (kafka, topic) {
    await withAdmin(kafka, async admin => {
      await admin.createTopics({ waitForLeaders: true, topics: [{ topic }] })
      const producer = transactional(kafka, topic)
      await producer.connect()
      for (let i = 1; i <= 6; i++) {
        const transaction = await producer.transaction()
        await transaction.send({ topic, messages: [{ value: `v${i}` }] })
        await transaction.sendOffsets({
          consumerGroupId: topic, topics: [{ topic, partitions: [{ partition: 0, offset: `${i}` }] }]
        })
        await (i % 3 === 0 ? transaction.abort() : transaction.commit())
      }
      await producer.disconnect()
      const [told] = await admin.fetchOffsets({ groupId: topic, topics: [topic] })
      assert.deepEqual(told.partitions.map(each => each.offset), ['5'])
    })
  },

  async transactionalProducerIsFencedByTheNext (kafka, topic) {
    await withAdmin(kafka, admin => admin.createTopics({ waitForLeaders: true, topics: [{ topic }] }))
    const old = transactional(kafka, topic)
    await old.connect()
    const late = await old.transaction()
    await late.send({ topic, messages: [{ value: 'old' }] })
    const fresh = transactional(kafka, topic)
    await fresh.connect()
    const transaction = await fresh.transaction()
    await transaction.send({ topic, messages: [{ value: 'new' }] })
    await transaction.commit()
    await assert.rejects(async () => {
      await late.send({ topic, messages: [{ value: 'late' }] })
      await late.commit()
    })
    await fresh.disconnect()
    await old.disconnect()
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
