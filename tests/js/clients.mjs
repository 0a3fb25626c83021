// The SDK's clients of the server under test, and tables that the tests make.
import assert from "node:assert/strict";
import { CreateTableCommand, DeleteTableCommand, DynamoDBClient, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { DynamoDBStreamsClient } from "@aws-sdk/client-dynamodb-streams";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";

const endpoint = process.env.PARTITA_TEST_ENDPOINT;
assert.ok(endpoint, "PARTITA_TEST_ENDPOINT names the server to test");

const settings = { endpoint, region: "us-east-1", credentials: { accessKeyId: "partita", secretAccessKey: "partita" } };

export const client = new DynamoDBClient({ ...settings, maxAttempts: 1 });
export const documents = DynamoDBDocumentClient.from(client);
export const streams = new DynamoDBStreamsClient({ ...settings, maxAttempts: 1 });

// A table with the partition key `pk`, ready for use.
export const make = async (TableName, more = {}) => {
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
      ...more,
    }),
  );
  const { reason } = await waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 1 }, { TableName });
  return reason.Table;
};

export const drop = (TableName) => client.send(new DeleteTableCommand({ TableName }));
