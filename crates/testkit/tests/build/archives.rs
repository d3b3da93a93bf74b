//! Archives in every form that Docker takes, and what files keep on their way through them.

use std::{fs, fs::File, path::Path, process::Command};

use testkit::{Cli, Daemon};

use crate::{Files, sh};

/// Runs a script on the host, in this folder.
#[track_caller]
fn host(dir: &Path, script: &str) -> String {
    let out = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .output()
        .expect("a shell");
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{script}\n{told}");
    String::from_utf8(out.stdout).expect("text")
}

/// Runs a command line with a file on its standard input: whether it succeeded, and what it told.
fn fed(cli: &Cli, line: &str, input: &Path) -> (bool, String) {
    let out = cli
        .command(line)
        .env("DOCKER_BUILDKIT", "0")
        .stdin(File::open(input).expect("a file"))
        .output()
        .expect("a program");
    let told = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&told).into())
}

const TOOLS: [(&str, &str); 4] = [
    ("gz", "gzip"),
    ("bz2", "bzip2"),
    ("xz", "xz"),
    ("zst", "zstd"),
];

#[test]
fn add_unpacks_what_any_tool_packed() {
    let d = Daemon::fresh();
    let mut text = "FROM busybox\n".to_owned();
    for (end, _) in TOOLS {
        text += &format!("ADD a.tar.{end} /{end}/\nADD named-otherwise-{end} /other/{end}/\n");
        text += &format!("ADD text.{end} /plain/\nCOPY a.tar.{end} /copied/\n");
    }
    text += "ADD two.tar.xz /two/\n";
    let files = Files::new(&text).file("in/x", "x").file("in/d/y", "y");
    for (end, tool) in TOOLS {
        let script = format!(
            "tar -C in -c . | {tool} -c > a.tar.{end}; cp a.tar.{end} named-otherwise-{end}
             {tool} -c in/x > text.{end}"
        );
        host(files.dir(), &script);
    }
    // One archive in two streams.
    let script = "tar -C in -cf t.tar .; head -c 700 t.tar | xz > two.tar.xz
         tail -c +701 t.tar | xz >> two.tar.xz; rm t.tar";
    host(files.dir(), script);
    files.build(&d, "");
    assert_eq!(
        sh(&d, "cat /*/x /*/d/y /other/*/x"),
        "x".repeat(5) + &"y".repeat(5) + &"x".repeat(4)
    );
    assert_eq!(
        sh(&d, "ls /plain /copied"),
        "/copied:\na.tar.bz2\na.tar.gz\na.tar.xz\na.tar.zst\n\n/plain:\ntext.bz2\ntext.gz\ntext.xz\ntext.zst"
    );
    assert_eq!(
        sh(&d, "gunzip -c /plain/text.gz; bunzip2 -c /plain/text.bz2"),
        "xx"
    );

    let cut = Files::new("FROM busybox\nADD a.tar.xz /x/\n").file("in/x", "x");
    host(
        cut.dir(),
        "head -c 300000 /dev/urandom > in/z; tar -C in -c . | xz > w; head -c 200000 w > a.tar.xz",
    );
    cut.fails(
        &d,
        "",
        &["unpack /a.tar.xz", "the xz data are damaged or cut short"],
    );
    // A dictionary of 1.5 GiB.
    let wide = Files::new("FROM busybox\nADD a.tar.xz /x/\n");
    let script = "import lzma
data = bytearray(lzma.compress(b'x' * 1000))
import zlib
data[16] = 37
data[20:24] = zlib.crc32(bytes(data[12:20])).to_bytes(4, 'little')
open('a.tar.xz', 'wb').write(data)";
    host(wide.dir(), &format!("python3 -c \"{script}\""));
    wide.fails(&d, "", &["the xz data need more than 128 MiB of memory"]);
}

#[test]
fn contexts_come_packed_in_any_way() {
    let d = Daemon::fresh();
    let files = Files::new("FROM busybox\nCOPY . /all\n").file("sub/f", "of the context");
    for (end, tool) in TOOLS {
        let packed = files.path(&format!("../context-{}.tar.{end}", std::process::id()));
        let script = format!("tar -c . | {tool} -c > {}", packed.display());
        host(files.dir(), &script);
        for cli in d.clis() {
            let (ok, told) = fed(&cli, "build -t it -", &packed);
            assert!(ok, "{end}: {told}");
            assert_eq!(sh(&d, "cat /all/sub/f"), "of the context");
            cli.ok("rmi it");
        }
        let bytes = fs::read(&packed).expect("an archive");
        fs::remove_file(&packed).expect("our own");
        let headers = [("Content-Type", "application/x-tar")];
        let half = &bytes[..bytes.len() - bytes.len() / 4];
        let answer = d.api().try_send("POST", "/build", &headers, half);
        let answer = answer.expect("an answer");
        let name = match end {
            "gz" => "gzip",
            "bz2" => "bzip2",
            "zst" => "zstd",
            end => end,
        };
        let told = answer.text();
        assert!(
            told.contains(&format!("the {name} data are damaged")),
            "{told}"
        );
    }
}

#[test]
fn images_come_packed_in_any_way_and_leave_so_that_others_take_them() {
    let d = Daemon::fresh();
    let files = Files::new("").file("root/said", "of a root");
    let dir = files.dir();
    d.wharf()
        .ok(&format!("save -o {}/busybox.tar busybox", dir.display()));
    // An archive whose layers are packed by xz.
    let script = "import io, json, lzma, sys, tarfile
source = tarfile.open('busybox.tar')
out = tarfile.open('layers.tar', 'w')
def add(name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    out.addfile(info, io.BytesIO(data))
manifest = json.load(source.extractfile('manifest.json'))
for image in manifest:
    image['RepoTags'] = ['layers:1']
    add(image['Config'], source.extractfile(image['Config']).read())
    for layer in set(image['Layers']):
        add(layer, lzma.compress(source.extractfile(layer).read()))
add('manifest.json', json.dumps(manifest).encode())
out.close()";
    host(dir, &format!("python3 -c \"{script}\""));
    let own = |name: &str| format!("{}/{name}", dir.display());
    for (end, tool) in TOOLS {
        host(
            dir,
            &format!("{tool} -c busybox.tar > b.tar.{end}; tar -C root -c . | {tool} -c > r.{end}"),
        );
        for cli in d.clis() {
            let line = format!("load -i {}", own(&format!("b.tar.{end}")));
            assert!(cli.ok(&line).contains("busybox"), "{end}");
            cli.ok(&format!("import {} root:{end}", own(&format!("r.{end}"))));
            cli.ok(&format!("create --name cc root:{end} x"));
            assert!(cli.ok("export cc").contains("of a root"), "{end}");
            cli.ok("rm cc");
        }
    }
    d.wharf().ok(&format!("load -i {}", own("layers.tar")));
    assert_eq!(d.wharf().ok("run --rm layers:1 echo run"), "run");
    // No other engine unpacks layers that are packed by xz or bzip2.
    for image in ["root:xz", "root:bz2", "layers:1"] {
        d.wharf()
            .ok(&format!("save -o {} {image}", own("saved.tar")));
        let told = host(
            dir,
            "mkdir s; tar -C s -xf saved.tar
             find s -type f -exec sh -c 'head -c 5 $0 | od -An -tx1' {} ';'; rm -r s",
        );
        assert!(
            !told.contains("fd 37 7a 58 5a") && !told.contains("42 5a 68"),
            "{told}"
        );
    }
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let d = Daemon::fresh();
    let files = Files::new(
        r"FROM busybox AS one
RUN mkdir /out && echo made > /out/a && ln /out/a /out/b && ln /out/a /c && mknod /out/n c 1 3 \
  && chmod 6755 /out/a
FROM busybox
COPY --from=one /out /from
COPY tree /tree
COPY --chmod=640 --chown=3:4 tree /changed
COPY tree/a tree/d/b /apart/
",
    )
    .file("tree/a", "the same")
    .file("tree/other", "the same");
    fs::create_dir(files.path("tree/d")).expect("a folder");
    fs::hard_link(files.path("tree/a"), files.path("tree/d/b")).expect("a link");
    let names = "stat -c %h:%a:%u:%F /from/a /tree/a /tree/other /changed/d/b /apart/a /from/n";
    let same = "[ /from/a -ef /from/b ] && [ /tree/a -ef /tree/d/b ] && [ /changed/a -ef /changed/d/b ] \
                && echo yes";
    let expected = "2:6755:0:regular file\n2:644:0:regular file\n1:644:0:regular file\n\
                    2:640:3:regular file\n1:644:0:regular file\n1:644:0:character special file";
    files.build(&d, "");
    assert_eq!(sh(&d, names), expected);
    assert_eq!(sh(&d, same), "yes");
    // A link more or less is another content, and only that.
    let told = files.build(&d, "");
    assert_eq!(crate::cached(&told), 5, "{told}");
    fs::hard_link(files.path("tree/a"), files.path("tree/e")).expect("a link");
    files.build(&d, "");
    assert_eq!(sh(&d, "stat -c %h /tree/a"), "3");
    fs::remove_file(files.path("tree/e")).expect("our own");
    files.build(&d, "");
    assert_eq!(sh(&d, "stat -c %h /tree/a"), "2");
    // In an archive, by the real docker, and by ours.
    let packed = files.path("../links.tar");
    let packed = packed.with_file_name(format!("links-{}.tar", std::process::id()));
    host(files.dir(), &format!("tar -cf {} .", packed.display()));
    d.wharf().ok("builder prune -af");
    for cli in d.clis() {
        let (ok, told) = fed(&cli, "build -t it -", &packed);
        assert!(ok, "{told}");
        assert_eq!(sh(&d, names), expected);
        assert_eq!(sh(&d, same), "yes");
    }
    fs::remove_file(&packed).expect("our own");
}

#[test]
fn files_with_holes_are_taken() {
    let d = Daemon::fresh();
    let files =
        Files::new("FROM busybox AS b\nCOPY hole /hole\nFROM busybox\nCOPY --from=b /hole /hole\n");
    host(
        files.dir(),
        "truncate -s 40M hole; echo begin | dd of=hole conv=notrunc status=none
         echo end | dd of=hole bs=1M seek=30 conv=notrunc status=none",
    );
    let sum = host(files.dir(), "md5sum < hole");
    let packed = files.dir().with_extension("holes.tar");
    for form in [
        "gnu --sparse",
        "posix --sparse",
        "posix --sparse --sparse-version=0.1",
        "gnu",
    ] {
        let script = format!(
            "tar --format={form} -cf {} hole Dockerfile",
            packed.display()
        );
        host(files.dir(), &script);
        for cli in d.clis() {
            if form.starts_with("posix") && cli.name() == d.docker().name() {
                // It takes an archive that begins with an extended header for a Dockerfile.
                continue;
            }
            let (ok, told) = fed(&cli, "build --no-cache -t it -", &packed);
            assert!(ok, "{form}: {told}");
            assert_eq!(sh(&d, "md5sum < /hole"), sum.trim(), "{form}");
            let blocks = sh(&d, "stat -c %b /hole").parse::<u64>().expect("a number");
            assert!(blocks < 4096, "{form}: its holes were filled: {blocks}");
        }
    }
    fs::remove_file(&packed).expect("our own");
    files.build(&d, "--no-cache");
    assert_eq!(sh(&d, "md5sum < /hole"), sum.trim());
}
