// Streams, time to live and PartiQL through the JavaScript SDK.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { DescribeTimeToLiveCommand, UpdateTimeToLiveCommand } from "@aws-sdk/client-dynamodb";
import { DescribeStreamCommand, GetRecordsCommand, GetShardIteratorCommand, ListStreamsCommand } from "@aws-sdk/client-dynamodb-streams";
import { BatchExecuteStatementCommand, DeleteCommand, ExecuteStatementCommand, ExecuteTransactionCommand, PutCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { client, documents, drop, make, streams } from "./clients.mjs";

after(() => {
  client.destroy();
  streams.destroy();
});

const recordsOf = async (StreamArn) => {
  const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn }));
  const found = [];
  for (const { ShardId } of StreamDescription.Shards) {
    let { ShardIterator } = await streams.send(new GetShardIteratorCommand({ StreamArn, ShardId, ShardIteratorType: "TRIM_HORIZON" }));
    while (ShardIterator) {
      const page = await streams.send(new GetRecordsCommand({ ShardIterator }));
      if (page.Records.length === 0) break;
      found.push(...page.Records);
      ShardIterator = page.NextShardIterator;
    }
  }
  return found;
};

test("a stream tells what happened to each item", async () => {
  const TableName = "JavaScriptStream";
  const { LatestStreamArn } = await make(TableName, { StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" } });
  const { Streams } = await streams.send(new ListStreamsCommand({ TableName }));
  assert.ok(Streams.some(({ StreamArn }) => StreamArn === LatestStreamArn));
  await documents.send(new PutCommand({ TableName, Item: { pk: "a", n: 1 } }));
  await documents.send(new PutCommand({ TableName, Item: { pk: "a", n: 1 } }));
  await documents.send(new UpdateCommand({ TableName, Key: { pk: "a" }, UpdateExpression: "ADD n :n", ExpressionAttributeValues: { ":n": 1 } }));
  await documents.send(new DeleteCommand({ TableName, Key: { pk: "a" } }));
  const told = (await recordsOf(LatestStreamArn)).map(({ eventName, dynamodb }) => [eventName, dynamodb.OldImage?.n.N, dynamodb.NewImage?.n.N]);
  assert.deepEqual(told, [["INSERT", undefined, "1"], ["MODIFY", "1", "2"], ["REMOVE", "2", undefined]]);
  await drop(TableName);
});

test("time to live is switched on and described", async () => {
  const TableName = "JavaScriptExpiry";
  await make(TableName);
  const TimeToLiveSpecification = { Enabled: true, AttributeName: "expires" };
  const answer = await client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }));
  assert.deepEqual(answer.TimeToLiveSpecification, TimeToLiveSpecification);
  const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand({ TableName }));
  assert.match(TimeToLiveDescription.TimeToLiveStatus, /^ENABL(ED|ING)$/);
  assert.equal(TimeToLiveDescription.AttributeName, "expires");
  await drop(TableName);
});

test("statements run alone, in batches and in transactions", async () => {
  const TableName = "JavaScriptStatements";
  await make(TableName);
  const run = (Statement, ...Parameters) => documents.send(new ExecuteStatementCommand({ Statement, ...(Parameters.length ? { Parameters } : {}) }));
  await run(`INSERT INTO "${TableName}" VALUE {'pk': ?, 'n': ?, 'tags': ?}`, "a", 1, new Set(["x", "y"]));
  const { Items } = await run(`SELECT * FROM "${TableName}" WHERE pk = ? AND n < 5`, "a");
  assert.deepEqual(Items, [{ pk: "a", n: 1, tags: new Set(["x", "y"]) }]);
  await assert.rejects(run(`INSERT INTO "${TableName}" VALUE {'pk': 'a'}`), { name: "DuplicateItemException" });
  const batch = await documents.send(
    new BatchExecuteStatementCommand({
      Statements: [{ Statement: `UPDATE "${TableName}" SET n = n + 1 WHERE pk = 'a'` }, { Statement: `INSERT INTO "${TableName}" VALUE {'pk': 'b'}` }],
    }),
  );
  assert.ok(batch.Responses.every((each) => each.Error === undefined && each.TableName === TableName));
  const { Responses } = await documents.send(
    new ExecuteTransactionCommand({ TransactStatements: [{ Statement: `SELECT n FROM "${TableName}" WHERE pk = 'a'` }, { Statement: `SELECT n FROM "${TableName}" WHERE pk = 'b'` }] }),
  );
  assert.deepEqual(Responses.map(({ Item }) => Item), [{ n: 2 }, {}]);
  await drop(TableName);
});
