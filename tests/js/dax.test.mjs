// DAX through its official JavaScript client: the same answers as over HTTP.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createRequire } from "node:module";
import { DynamoDB } from "@aws-sdk/client-dynamodb";
import { client, drop, make } from "./clients.mjs";

const { Dax } = createRequire(import.meta.url)("@amazon-dax-sdk/client-dax");
const endpoint = process.env.PARTITA_TEST_DAX;
assert.ok(endpoint, "PARTITA_TEST_DAX names the DAX address to test");

const credentials = { accessKeyId: "partita", secretAccessKey: "partita" };
const http = new DynamoDB({ endpoint: process.env.PARTITA_TEST_ENDPOINT, region: "us-east-1", credentials, maxAttempts: 1 });
const dax = new Dax({ endpoints: [endpoint], endpoint, region: "us-east-1", credentials });

const SORTED = { AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }, { AttributeName: "sk", AttributeType: "N" }],
  KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }] };

before(async () => {
  for (const name of ["DaxHttp", "DaxDax"]) {
    await make(name);
    await make(`${name}Sorted`, SORTED);
  }
});

after(async () => {
  for (const name of ["DaxHttp", "DaxDax"]) await Promise.all([drop(name), drop(`${name}Sorted`)]);
  client.destroy();
  http.destroy();
  dax.destroy?.();
  // The client keeps its timers.
  setTimeout(() => process.exit(process.exitCode ?? 0), 100).unref();
});

// What does not depend on the client: names of errors, bytes, numbers as values.
const plain = (value, name) =>
  JSON.parse(
    JSON.stringify(value, (key, inner) => {
      if (key === "$metadata") return undefined;
      if (inner?.type === "Buffer") return { bytes: inner.data };
      if (inner instanceof Uint8Array) return { bytes: [...inner] };
      if (key === "N") return String(Number(inner));
      return inner;
    }).replaceAll(name, "TABLE"),
  );

const outcome = async (api, operation, parameters, name) => {
  try {
    return plain(await api[operation](parameters), name);
  } catch (error) {
    return { error: error.code ?? error.name };
  }
};

const same = async (operation, parameters) => {
  const answers = [];
  for (const [api, name] of [[http, "DaxHttp"], [dax, "DaxDax"]]) answers.push(await outcome(api, operation, parameters(name), name));
  assert.deepEqual(answers[1], answers[0], operation);
};

const item = { pk: { S: "a" }, n: { N: "1.25" }, big: { N: "12345678901234567" }, b: { B: Buffer.from([0, 255]) }, t: { BOOL: true },
  m: { M: { l: { L: [{ N: "-7" }, { NULL: true }, { S: "ä" }] } } }, ss: { SS: ["x", "y"] }, ns: { NS: ["1", "2.5"] } };
const Key = { pk: { S: "a" } };

test("items", async () => {
  await same("putItem", (TableName) => ({ TableName, Item: item }));
  await same("getItem", (TableName) => ({ TableName, Key }));
  await same("getItem", (TableName) => ({ TableName, Key, ConsistentRead: true, ReturnConsumedCapacity: "TOTAL" }));
  await same("getItem", (TableName) => ({ TableName, Key, ProjectionExpression: "m.l[2], #n", ExpressionAttributeNames: { "#n": "n" } }));
  await same("getItem", (TableName) => ({ TableName, Key: { pk: { S: "none" } } }));
  const update = { UpdateExpression: "SET n = n + :o REMOVE b ADD #c :o", ExpressionAttributeNames: { "#c": "count" },
    ConditionExpression: "attribute_exists(pk) AND (n > :o OR contains(ss, :x))", ExpressionAttributeValues: { ":o": { N: "1" }, ":x": { S: "x" } } };
  await same("updateItem", (TableName) => ({ TableName, Key, ...update, ReturnValues: "ALL_NEW" }));
  await same("putItem", (TableName) => ({ TableName, Item: Key, ConditionExpression: "attribute_not_exists(pk)" }));
  await same("getItem", () => ({ TableName: "Nowhere", Key }));
  await same("deleteItem", (TableName) => ({ TableName, Key, ReturnValues: "ALL_OLD" }));
  await same("getItem", (TableName) => ({ TableName, Key }));
});

test("queries, scans and batches", async () => {
  const put = (sk) => ({ PutRequest: { Item: { pk: { S: "p" }, sk: { N: String(sk) }, v: { S: `v${sk}` } } } });
  await same("batchWriteItem", (name) => ({ RequestItems: { [`${name}Sorted`]: [-2.5, 0, 7, 100].map(put) } }));
  const p = { KeyConditionExpression: "pk = :p", ExpressionAttributeValues: { ":p": { S: "p" } } };
  await same("query", (name) => ({ TableName: `${name}Sorted`, ...p }));
  await same("query", (name) => ({ TableName: `${name}Sorted`, ...p, Limit: 2, ScanIndexForward: false }));
  await same("query", (name) => ({ TableName: `${name}Sorted`, ...p, Limit: 1, ExclusiveStartKey: { pk: { S: "p" }, sk: { N: "0" } }, ConsistentRead: true }));
  await same("scan", (name) => ({ TableName: `${name}Sorted`, FilterExpression: "v = :v", ExpressionAttributeValues: { ":v": { S: "v7" } } }));
  const Keys = [{ pk: { S: "p" }, sk: { N: "7" } }];
  await same("batchGetItem", (name) => ({ RequestItems: { [`${name}Sorted`]: { Keys }, [name]: { Keys: [{ pk: { S: "none" } }] } } }));
});

test("transactions", async () => {
  const Put = (TableName, more) => ({ Put: { TableName, Item: { pk: { S: "t" }, x: { S: "y" } }, ...more } });
  await same("transactWriteItems", (name) => ({ TransactItems: [Put(name), { Delete: { TableName: name, Key } }] }));
  await same("transactGetItems", (TableName) => ({ TransactItems: [{ Get: { TableName, Key: { pk: { S: "t" } } } }, { Get: { TableName, Key } }] }));
  const TransactItems = [Put("DaxDax", { ConditionExpression: "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure: "ALL_OLD" })];
  await assert.rejects(dax.transactWriteItems({ TransactItems }), (error) => {
    assert.equal(error.code, "TransactionCanceledException");
    assert.deepEqual(error.cancellationReasons[0].Item, { pk: { S: "t" }, x: { S: "y" } });
    return true;
  });
});

test("a write by HTTP is seen at once", async () => {
  for (let n = 0; n < 20; n++) {
    await http.putItem({ TableName: "DaxDax", Item: { pk: { S: "w" }, n: { N: String(n) } } });
    assert.equal((await dax.getItem({ TableName: "DaxDax", Key: { pk: { S: "w" } } })).Item.n.N, String(n));
  }
});
