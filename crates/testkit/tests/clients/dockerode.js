const assert = require('assert');
const { PassThrough } = require('stream');
const Docker = require('dockerode');

const text = (stream) => new Promise((done, failed) => {
  const parts = [];
  stream.on('data', (part) => parts.push(part));
  stream.on('end', () => done(Buffer.concat(parts).toString()));
  stream.on('error', failed);
});

async function main() {
  const docker = new Docker();
  assert.strictEqual((await docker.version()).Os, 'linux');
  assert.strictEqual((await docker.ping()).toString(), 'OK');
  const events = await docker.getEvents({ filters: { type: ['container'] } });
  let seen = '';
  events.on('data', (part) => { seen += part; });

  const out = new PassThrough(), err = new PassThrough();
  const outText = text(out), errText = text(err);
  const [result, run] = await docker.run('busybox', ['sh', '-c', 'echo out; echo err >&2; exit 3'],
    [out, err], { Tty: false });
  out.end(); err.end();
  assert.strictEqual(result.StatusCode, 3);
  assert.deepStrictEqual([await outText, await errText], ['out\n', 'err\n']);
  await run.remove();

  const cat = await docker.createContainer({
    Image: 'busybox', Cmd: ['cat'], OpenStdin: true, StdinOnce: true,
    AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false,
  });
  const attached = await cat.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
  const plain = new PassThrough();
  docker.modem.demuxStream(attached, plain, plain);
  attached.on('end', () => plain.end());
  const echoed = text(plain);
  await cat.start();
  attached.write('through cat\n');
  attached.end();
  assert.strictEqual(await echoed, 'through cat\n');
  await cat.wait();
  await cat.remove();

  const box = await docker.createContainer({ Image: 'busybox', Cmd: ['sleep', '1000'], name: 'box' });
  await box.start();
  assert.strictEqual((await box.inspect()).State.Running, true);
  assert.deepStrictEqual((await docker.listContainers()).map((c) => c.Id), [box.id]);
  const exec = await box.exec({ Cmd: ['sh', '-c', 'echo $X; exit 4'], Env: ['X=1'], AttachStdout: true });
  const stream = await exec.start({});
  const said = new PassThrough();
  docker.modem.demuxStream(stream, said, said);
  stream.on('end', () => said.end());
  assert.strictEqual(await text(said), '1\n');
  assert.strictEqual((await exec.inspect()).ExitCode, 4);

  const stats = await box.stats({ stream: false });
  assert(stats.memory_stats.usage > 0);
  assert.strictEqual((await box.top()).Processes.length, 1);
  await box.pause();
  await box.unpause();
  await box.update({ Memory: 64 << 20, MemorySwap: 128 << 20 });
  assert.strictEqual((await box.inspect()).HostConfig.Memory, 64 << 20);
  await box.rename({ name: 'other' });

  const copied = await box.getArchive({ path: '/etc/hostname' });
  const archive = await text(copied);
  assert(archive.startsWith('hostname'));
  await box.putArchive(Buffer.from(archive, 'binary'), { path: '/tmp' });
  assert((await box.changes()).some((c) => c.Path === '/tmp/hostname'), 'changes');
  assert((await text(await box.export())).length > 100000);
  const made = await box.commit({ repo: 'made', tag: '1' });
  assert.strictEqual((await docker.getImage('made:1').inspect()).Id, made.Id);
  assert((await docker.getImage('made:1').history()).length >= 1);
  const saved = await docker.getImage('made:1').get();
  const bytes = await new Promise((done) => {
    const parts = [];
    saved.on('data', (p) => parts.push(p));
    saved.on('end', () => done(Buffer.concat(parts)));
  });
  await docker.getImage('made:1').remove();
  const loading = await docker.loadImage(bytes);
  await new Promise((done, failed) => docker.modem.followProgress(loading, (e, o) => (e ? failed(e) : done(o))));
  assert.strictEqual((await docker.getImage('made:1').inspect()).Id, made.Id);
  await docker.getImage('made:1').remove();

  const logs = await box.logs({ stdout: true, stderr: true });
  assert.strictEqual(logs.length, 0);
  await box.kill();
  await box.wait();
  await box.remove();
  await docker.df();
  await docker.pruneContainers();
  await assert.rejects(docker.getContainer('nobody').inspect(), (e) => e.statusCode === 404);
  for (const action of ['create', 'start', 'attach', 'die', 'pause', 'rename', 'destroy']) {
    assert(seen.includes(`"Action":"${action}`), `${action} in ${seen}`);
  }
  events.destroy();
  console.log('all of it');
}

main().catch((error) => { console.error(error); process.exit(1); });
