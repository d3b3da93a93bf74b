import asyncio, io, tarfile, aiodocker


async def main():
    docker = aiodocker.Docker()
    assert (await docker.version())["Os"] == "linux"
    assert (await docker.system.info())["OSType"] == "linux"
    events = docker.events.subscribe()

    one = await docker.containers.create(
        {"Image": "busybox", "Cmd": ["sh", "-c", "echo out; echo err >&2; exit 3"]}, name="one"
    )
    await one.start()
    assert (await one.wait())["StatusCode"] == 3
    assert await one.log(stdout=True) == ["out\n"], await one.log(stdout=True)
    assert await one.log(stderr=True) == ["err\n"]
    await one.delete()
    seen = []
    while "destroy" not in seen:
        event = await asyncio.wait_for(events.get(), 20)
        if event["Type"] == "container":
            seen.append(event["Action"])
    assert seen[:2] == ["create", "start"] and "die" in seen, seen

    box = await docker.containers.run({"Image": "busybox", "Cmd": ["sleep", "1000"]}, name="box")
    assert [c.id for c in await docker.containers.list()] == [box.id]
    shown = await box.show()
    assert shown["State"]["Running"] and shown["Name"] == "/box"

    run = await box.exec(["sh", "-c", "cat; echo done >&2"], stdin=True, tty=False)
    async with run.start(detach=False) as stream:
        await stream.write_in(b"to be read")
        first = await stream.read_out()
        assert first.data == b"to be read", first
    run = await box.exec(["sh", "-c", "exit 5"])
    async with run.start(detach=False) as stream:
        assert await stream.read_out() is None
    assert (await run.inspect())["ExitCode"] == 5

    stats = await box.stats(stream=False)
    assert stats[0]["memory_stats"]["usage"] > 0, stats
    async for sample in box.stats(stream=True):
        assert sample["pids_stats"]["current"] >= 1, sample
        break

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        entry = tarfile.TarInfo("note.txt")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"text"))
    await box.put_archive("/tmp", data.getvalue())
    back = await box.get_archive("/tmp/note.txt")
    assert back.extractfile("note.txt").read() == b"text"

    await box.rename("other")
    assert (await box.show())["Name"] == "/other"
    await box.pause()
    assert (await box.show())["State"]["Status"] == "paused"
    await box.unpause()
    top = await (await docker.containers.get("other")).top() if hasattr(box, "top") else None
    assert top is None or "sleep 1000" in str(top["Processes"])

    made = await box.commit(repository="made", tag="1")
    assert (await docker.images.inspect("made:1"))["Id"] == made["Id"]
    assert any("made:1" in i["RepoTags"] for i in await docker.images.list())
    assert await docker.images.history("made:1")
    await docker.images.delete("made:1")
    await box.kill()
    await box.wait()
    await box.delete(force=True)

    try:
        await docker.containers.get("nobody")
        raise SystemExit("no error")
    except aiodocker.exceptions.DockerError as error:
        assert error.status == 404, error
    await docker.close()
    print("all of it")


asyncio.run(main())
