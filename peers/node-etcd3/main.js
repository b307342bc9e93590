// Talks to a server as a user of the npm package etcd3 would, and checks every answer.
//
//   node main.js 127.0.0.1:2379
//
// Each check works in a namespace of its own. The first answer that is not as it should be ends the program.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { Etcd3 } = require('etcd3');

// How long everything together may take.
const PATIENCE_MS = 180_000;

async function keys(client) {
  const space = client.namespace('keys/');
  await space.put('a').value('1');
  await space.put('b').value(2);
  assert.equal(await space.get('a').string(), '1');
  assert.equal(await space.get('b').number(), 2);
  assert.equal(await space.get('missing').string(), null);
  assert.equal(await client.get('keys/a').string(), '1', 'a namespace is a prefix');
  assert.deepEqual(await space.getAll().strings(), { a: '1', b: '2' });
  assert.deepEqual(await space.getAll().sort('Value', 'Descend').keys(), ['b', 'a']);
  assert.deepEqual(await space.getAll().limit(1).keys(), ['a']);
  assert.equal(await space.getAll().count(), 2);

  const { header } = await space.put('a').value('changed').exec();
  const before = String(Number(header.revision) - 1);
  assert.equal(await space.get('a').revision(before).string(), '1');
  const [previous] = await space.delete().key('a').getPrevious();
  assert.equal(previous.value.toString(), 'changed');
  assert.equal((await space.delete().all()).deleted, '1');
  await assert.rejects(client.put('').value('x').exec(), /key is not provided/);
}

async function transactions(client) {
  const space = client.namespace('txn/');
  const createIfAbsent = text =>
    space.if('a', 'Create', '==', 0).then(space.put('a').value(text)).else(space.get('a')).commit();
  assert.equal((await createIfAbsent('first')).succeeded, true);
  const second = await createIfAbsent('second');
  assert.equal(second.succeeded, false);
  assert.equal(second.responses[0].response_range.kvs[0].value.toString(), 'first');

  const both = await space
    .if('a', 'Value', '==', 'first')
    .and('a', 'Version', '<', 2)
    .then(space.put('b').value('1'), space.get('b'), space.delete().key('a'))
    .commit();
  assert.equal(both.succeeded, true);
  assert.equal(both.responses[1].response_range.kvs[0].value.toString(), '1');
  assert.equal(both.responses[2].response_delete_range.deleted, '1');

  await space.put('count').value(0);
  const addOne = () =>
    space.stm({ retries: 100 }).transact(async memory => {
      await memory.put('count').value((await memory.get('count').number()) + 1);
    });
  await Promise.all(Array.from({ length: 8 }, addOne));
  assert.equal(await space.get('count').number(), 8, 'software transactional memory');
}

// Collects what a watcher tells, in words, until there is as much as is wanted.
function listen(watcher) {
  const words = [];
  let wake = () => {};
  const tell = word => {
    words.push(word);
    wake();
  };
  const after = previous => (previous && previous.version !== '0' ? ` after ${previous.value}` : '');
  watcher.on('put', (kv, previous) => tell(`put ${kv.key}=${kv.value}${after(previous)}`));
  watcher.on('delete', (kv, previous) => tell(`delete ${kv.key}${after(previous)}`));
  return async count => {
    while (words.length < count) {
      await new Promise(resolve => (wake = resolve));
    }
    return words.splice(0, count);
  };
}

async function watches(client) {
  const space = client.namespace('watch/');
  const { header } = await space.put('a').value('1').exec();
  const watcher = await space.watch().prefix('').startRevision(header.revision).withPreviousKV().create();
  const told = listen(watcher);
  assert.deepEqual(await told(1), ['put a=1']);
  const deletes = await space.watch().prefix('').only('delete').create();
  const deleted = listen(deletes);
  await space.put('a').value('2');
  await space.delete().key('a');
  assert.deepEqual(await told(2), ['put a=2 after 1', 'delete a after 2']);
  assert.deepEqual(await deleted(1), ['delete a']);
  await watcher.cancel();
  await space.put('a').value('3');
  await space.delete().key('a');
  assert.deepEqual(await deleted(1), ['delete a']);
  await deletes.cancel();
}

async function leases(client) {
  const space = client.namespace('lease/');
  const lease = space.lease(600);
  await lease.put('a').value('1');
  assert.equal((await lease.keepaliveOnce()).TTL, '600');
  const id = await lease.grant();
  const told = await client.leaseClient.leaseTimeToLive({ ID: id, keys: true });
  assert.deepEqual(told.keys.map(String), ['lease/a']);
  await lease.revoke();
  assert.equal(await space.get('a').string(), null);

  const watcher = await space.watch().key('short').only('delete').create();
  const deleted = listen(watcher);
  // Long enough that a machine which stands still for some seconds does not end it before the put.
  const short = space.lease(10, { autoKeepAlive: false });
  await short.put('short').value('1');
  assert.deepEqual(await deleted(1), ['delete short']);
  await watcher.cancel();
  const [error] = await Promise.all([once(short, 'lost'), assert.rejects(short.keepaliveOnce())]);
  assert.ok(error);
}

async function locks(client) {
  const space = client.namespace('lock/');
  let inside = 0;
  let turns = 0;
  const work = async () => {
    assert.equal(++inside, 1, 'two hold the lock');
    await space.put('anything').value('x');
    turns++;
    inside--;
  };
  // A lock of this client fails where it is held, so each tries until it has it.
  const contend = async () => {
    for (;;) {
      try {
        return await space.lock('name').ttl(30).do(work);
      } catch (error) {
        if (error.constructor.name !== 'EtcdLockFailedError') throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: 4 }, contend));
  assert.equal(turns, 4);
}

async function elections(client) {
  const election = client.election('name', 600);
  assert.equal(await election.leader(), undefined);
  const first = election.campaign('first');
  await first.wait();
  assert.equal(await election.leader(), 'first');
  const observer = await election.observe();
  assert.equal(observer.leader(), 'first');
  await first.proclaim('again');
  while (observer.leader() !== 'again') await once(observer, 'change');

  const second = election.campaign('second');
  second.on('error', error => {
    throw error;
  });
  const elected = once(second, 'elected');
  await second.getCampaignKey();
  await first.resign();
  await elected;
  while (observer.leader() !== 'second') await once(observer, 'change');
  await second.resign();
  await observer.cancel();
}

async function maintenance(client) {
  const status = await client.maintenance.status();
  assert.match(status.version, /^3\.\d+\.\d+$/);
  assert.equal(status.leader, status.header.member_id);
  assert.equal((await client.cluster.memberList({})).members.length, 1);
  assert.deepEqual((await client.maintenance.alarm({ action: 'Get' })).alarms, []);
}

// Users and roles, and clients that log in as one: it leaves nothing behind.
async function users(client) {
  const root = client.user('root');
  await root.create('secret');
  await root.addRole('root');
  const role = await client.role('reader').create();
  await role.grant({ permission: 'Readwrite', range: client.range({ prefix: 'users/a/' }) });
  await role.grant({ permission: 'Read', key: 'users/r' });
  const alice = await client.user('alice').create('a');
  await alice.addRole('reader');
  await client.auth.authEnable();

  const as = (username, password) =>
    new Etcd3({ hosts: client.options.hosts, auth: { username, password } });
  const [ruler, reader, stranger] = [as('root', 'secret'), as('alice', 'a'), as('alice', 'wrong')];
  await assert.rejects(client.get('users/r').string(), /user name is empty/);
  await assert.rejects(stranger.get('users/r').string(), /invalid user ID or password/);
  await ruler.put('users/r').value('of root');
  await reader.put('users/a/1').value('1');
  assert.equal(await reader.get('users/r').string(), 'of root');
  await assert.rejects(reader.put('users/r').value('mine').exec(), /permission denied/);
  await assert.rejects(reader.getAll().prefix('users/').keys(), /permission denied/);
  await assert.rejects(reader.user('bob').create('b'), /permission denied/);
  const watcher = await reader.watch().key('users/r').create();
  const told = once(watcher, 'put');
  await ruler.put('users/r').value('changed');
  assert.equal((await told)[0].value.toString(), 'changed');
  await watcher.cancel();

  await ruler.auth.authDisable();
  for (const made of [ruler, reader, stranger]) made.close();
  await alice.delete();
  await role.delete();
  await root.delete();
}

async function main() {
  const [endpoint] = process.argv.slice(2);
  assert.ok(endpoint, 'usage: node main.js HOST:PORT');
  const late = setTimeout(() => {
    console.error('it takes too long');
    process.exit(1);
  }, PATIENCE_MS);
  const client = new Etcd3({ hosts: endpoint });
  for (const check of [keys, transactions, watches, leases, locks, elections, maintenance, users]) {
    await check(client);
    console.log(`passed: ${check.name}`);
  }
  client.close();
  clearTimeout(late);
  console.log('all passed');
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
