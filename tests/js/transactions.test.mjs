// Transactions through the JavaScript SDK: a bank with 32 concurrent clients, and what cancels a transaction.
import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { IdempotentParameterMismatchException, TransactionCanceledException } from "@aws-sdk/client-dynamodb";
import { GetCommand, paginateScan, PutCommand, TransactGetCommand, TransactWriteCommand } from "@aws-sdk/lib-dynamodb";
import { client, documents, drop, make } from "./clients.mjs";

const CLIENTS = 32;
const TRANSFERS_OF_EACH = 30;
const ACCOUNTS = 20;
const OPENING_CENTS = 1000;
const [Accounts, Ledger] = ["JavaScriptAccounts", "JavaScriptLedger"];
const account = (number) => ({ pk: `account-${number}` });

before(async () => {
  await Promise.all([make(Accounts), make(Ledger)]);
  for (let number = 0; number < ACCOUNTS; number++) {
    await documents.send(new PutCommand({ TableName: Accounts, Item: { ...account(number), balance: OPENING_CENTS } }));
  }
});

after(async () => {
  await Promise.all([drop(Accounts), drop(Ledger)]);
  client.destroy();
});

const transfer = (token, from, to, cents) =>
  new TransactWriteCommand({
    ClientRequestToken: token,
    TransactItems: [
      {
        Update: {
          TableName: Accounts,
          Key: account(from),
          UpdateExpression: "SET balance = balance - :cents",
          ConditionExpression: "balance >= :cents",
          ExpressionAttributeValues: { ":cents": cents },
        },
      },
      { Update: { TableName: Accounts, Key: account(to), UpdateExpression: "ADD balance :cents", ExpressionAttributeValues: { ":cents": cents } } },
      { Put: { TableName: Ledger, Item: { pk: token, from, to, cents }, ConditionExpression: "attribute_not_exists(pk)" } },
    ],
  });

// Whether the transfer happened; conflicts are tried again with the same token.
const settle = async (request) => {
  for (let attempt = 0; attempt < 1000; attempt++) {
    try {
      await documents.send(request);
      return true;
    } catch (error) {
      if (error.name === "TransactionInProgressException") continue;
      assert.ok(error instanceof TransactionCanceledException, error);
      const codes = error.CancellationReasons.map((reason) => reason.Code);
      if (codes[0] === "ConditionalCheckFailed") {
        assert.notEqual(codes[2], "ConditionalCheckFailed", "the transfer was applied before");
        return false;
      }
      assert.ok(codes.includes("TransactionConflict"), codes.join());
      await new Promise((resolve) => setTimeout(resolve, randomInt(20)));
    }
  }
  assert.fail("a transfer did not end");
};

test("32 clients move money and no cent is gained or lost", async () => {
  const moved = new Map();
  let moving = true;
  const audits = (async () => {
    const wanted = Array.from({ length: ACCOUNTS }, (_, number) => ({ Get: { TableName: Accounts, Key: account(number) } }));
    let count = 0;
    while (moving) {
      try {
        const { Responses } = await documents.send(new TransactGetCommand({ TransactItems: wanted }));
        assert.equal(Responses.reduce((sum, { Item }) => sum + Item.balance, 0), ACCOUNTS * OPENING_CENTS);
        count++;
      } catch (error) {
        assert.ok(error instanceof TransactionCanceledException && /TransactionConflict/.test(error.message), error);
      }
    }
    return count;
  })();
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      for (let number = 0; number < TRANSFERS_OF_EACH; number++) {
        const from = randomInt(ACCOUNTS);
        const to = (from + 1 + randomInt(ACCOUNTS - 1)) % ACCOUNTS;
        const [token, cents] = [randomUUID(), 1 + randomInt(500)];
        if (await settle(transfer(token, from, to, cents))) moved.set(token, { from, to, cents });
      }
    }),
  );
  moving = false;
  assert.ok((await audits) > 0);
  assert.ok(moved.size > CLIENTS);

  const ledger = new Map();
  for await (const page of paginateScan({ client: documents }, { TableName: Ledger, ConsistentRead: true })) {
    for (const { pk, ...line } of page.Items) ledger.set(pk, line);
  }
  assert.deepEqual(new Map([...ledger].sort()), new Map([...moved].sort()));
  const expected = new Array(ACCOUNTS).fill(OPENING_CENTS);
  for (const { from, to, cents } of ledger.values()) {
    expected[from] -= cents;
    expected[to] += cents;
  }
  for (let number = 0; number < ACCOUNTS; number++) {
    const { Item } = await documents.send(new GetCommand({ TableName: Accounts, Key: account(number), ConsistentRead: true }));
    assert.equal(Item.balance, expected[number]);
  }
});

test("a canceled transaction tells one reason for each item", async () => {
  await documents.send(new PutCommand({ TableName: Ledger, Item: { pk: "there", cents: 1 } }));
  const once = { ConditionExpression: "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure: "ALL_OLD" };
  await assert.rejects(
    documents.send(
      new TransactWriteCommand({
        TransactItems: [
          { Put: { TableName: Ledger, Item: { pk: "new" }, ...once } },
          { Put: { TableName: Ledger, Item: { pk: "there" }, ...once } },
        ],
      }),
    ),
    (error) => {
      assert.ok(error instanceof TransactionCanceledException);
      assert.deepEqual(error.CancellationReasons.map((reason) => reason.Code), ["None", "ConditionalCheckFailed"]);
      assert.equal(error.CancellationReasons[1].Item.cents.N ?? error.CancellationReasons[1].Item.cents, "1");
      return true;
    },
  );
  const { Item } = await documents.send(new GetCommand({ TableName: Ledger, Key: { pk: "new" } }));
  assert.equal(Item, undefined);
});

test("a token is bound to its request", async () => {
  const put = (cents) => new TransactWriteCommand({ ClientRequestToken: token, TransactItems: [{ Put: { TableName: Ledger, Item: { pk: "token", cents } } }] });
  const token = randomUUID();
  await documents.send(put(1));
  await documents.send(put(1));
  await assert.rejects(documents.send(put(2)), IdempotentParameterMismatchException);
});
