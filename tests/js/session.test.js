// The JavaScript SDK, version 3, against a running server: tables with waiters, the document client, batches, pages
// and errors. The endpoint comes from PARTITA_TEST_ENDPOINT.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  ConditionalCheckFailedException,
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  ResourceNotFoundException,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import {
  BatchGetCommand,
  BatchWriteCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  paginateQuery,
  paginateScan,
  QueryCommand,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb";

const endpoint = process.env.PARTITA_TEST_ENDPOINT;
assert.ok(endpoint, "PARTITA_TEST_ENDPOINT names the server to test");

const client = new DynamoDBClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "partita", secretAccessKey: "partita" },
  maxAttempts: 1,
});
const documents = DynamoDBDocumentClient.from(client);
const TableName = "JavaScript";
const send = (Command, input) => documents.send(new Command({ TableName, ...input }));


// A waiter that does not find what it waits for at once sleeps for 20 seconds.
const soon = async (waiting) => {
  const began = Date.now();
  await waiting;
  assert.ok(Date.now() - began < 5000, "the waiter had to sleep");
};

before(async () => {
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: [
        { AttributeName: "pk", KeyType: "HASH" },
        { AttributeName: "sk", KeyType: "RANGE" },
      ],
      AttributeDefinitions: [
        { AttributeName: "pk", AttributeType: "S" },
        { AttributeName: "sk", AttributeType: "N" },
        { AttributeName: "group", AttributeType: "S" },
      ],
      GlobalSecondaryIndexes: [
        { IndexName: "ByGroup", KeySchema: [{ AttributeName: "group", KeyType: "HASH" }], Projection: { ProjectionType: "ALL" } },
      ],
    }),
  );
  await soon(waitUntilTableExists({ client, maxWaitTime: 30 }, { TableName }));
});

after(async () => {
  await client.send(new DeleteTableCommand({ TableName }));
  await soon(waitUntilTableNotExists({ client, maxWaitTime: 30 }, { TableName }));
  client.destroy();
});

test("values of all types come back as they went", async () => {
  const Item = {
    pk: "types",
    sk: 1.5,
    text: "é 😀",
    bytes: new Uint8Array([0, 127, 255]),
    yes: true,
    nothing: null,
    list: [1, "a", [], { x: -2 }],
    map: { deep: { deeper: "x" } },
    strings: new Set(["a", "b"]),
    numbers: new Set([1, 2.5]),
  };
  await send(PutCommand, { Item });
  const found = await send(GetCommand, { Key: { pk: "types", sk: 1.5 }, ConsistentRead: true });
  assert.deepEqual(found.Item, Item);
});

test("an update returns what it changed, a failed condition the item", async () => {
  const Key = { pk: "update", sk: 1 };
  await send(PutCommand, { Item: { ...Key, count: 1, group: "a" } });
  const changed = await send(UpdateCommand, {
    Key,
    UpdateExpression: "ADD #c :n SET #g = :g",
    ExpressionAttributeNames: { "#c": "count", "#g": "group" },
    ExpressionAttributeValues: { ":n": 41, ":g": "b" },
    ReturnValues: "UPDATED_NEW",
  });
  assert.deepEqual(changed.Attributes, { count: 42, group: "b" });
  await assert.rejects(
    send(DeleteCommand, {
      Key,
      ConditionExpression: "#c = :n",
      ExpressionAttributeNames: { "#c": "count" },
      ExpressionAttributeValues: { ":n": 1 },
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    }),
    (error) => {
      assert.ok(error instanceof ConditionalCheckFailedException);
      assert.deepEqual(error.Item.count, { N: "42" });
      return true;
    },
  );
});

test("batches and pages of query, index and scan", async () => {
  const items = Array.from({ length: 60 }, (_, sk) => ({ pk: "many", sk, group: `g${sk % 2}` }));
  for (let start = 0; start < items.length; start += 25) {
    const requests = items.slice(start, start + 25).map((Item) => ({ PutRequest: { Item } }));
    const answer = await documents.send(new BatchWriteCommand({ RequestItems: { [TableName]: requests } }));
    assert.deepEqual(answer.UnprocessedItems, {});
  }
  const got = await documents.send(
    new BatchGetCommand({ RequestItems: { [TableName]: { Keys: items.map(({ pk, sk }) => ({ pk, sk })) } } }),
  );
  assert.equal(got.Responses[TableName].length, 60);

  const query = { TableName, KeyConditionExpression: "pk = :p", ExpressionAttributeValues: { ":p": "many" }, ScanIndexForward: false };
  const numbers = [];
  for await (const page of paginateQuery({ client: documents, pageSize: 7 }, query)) numbers.push(...page.Items.map((item) => item.sk));
  assert.deepEqual(numbers, items.map((item) => item.sk).reverse());

  const indexed = await send(QueryCommand, {
    IndexName: "ByGroup",
    KeyConditionExpression: "#g = :g",
    ExpressionAttributeNames: { "#g": "group" },
    ExpressionAttributeValues: { ":g": "g1" },
  });
  assert.equal(indexed.Count, 30);

  let scanned = 0;
  for await (const page of paginateScan({ client: documents, pageSize: 11 }, { TableName, FilterExpression: "pk = :p", ExpressionAttributeValues: { ":p": "many" } })) scanned += page.Count;
  assert.equal(scanned, 60);
});

test("errors are the classes that the SDK knows", async () => {
  await assert.rejects(documents.send(new GetCommand({ TableName: "NoSuchTable", Key: { pk: "a" } })), ResourceNotFoundException);
  await assert.rejects(send(GetCommand, { Key: { pk: 1 } }), { name: "ValidationException" });
});
