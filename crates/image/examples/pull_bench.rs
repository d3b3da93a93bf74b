//! Measures a pull of ten layers of real files from a local registry.
//!
//! `cargo run --release -p image --example pull_bench -- <work-dir>`: makes the layers from
//! `/usr` once, pushes them to a `docker-registry` of its own, and pulls three times into fresh
//! stores. Prints seconds and the peak of memory held by this process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use image::{CancellationToken, ImageConfig, Options, Reference, Result, Store};

/// Layers that the image gets, and bytes that each has at least.
const LAYERS: usize = 10;
const LAYER_BYTES: u64 = 52 << 20;

struct Registry(Child, u16);

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_registry(dir: &Path) -> std::io::Result<Registry> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let config = dir.join("config.yml");
    std::fs::write(
        &config,
        format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}/data}}}}\n\
             http: {{addr: '127.0.0.1:{port}', secret: x}}\n",
            dir.display()
        ),
    )?;
    let child = Command::new("docker-registry")
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let registry = Registry(child, port);
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(registry)
}

/// Files below a directory until there are enough for all layers.
fn files(dir: &Path, found: &mut Vec<(PathBuf, u64)>, left: &mut u64) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    let mut entries: Vec<_> = entries.filter_map(|entry| entry.ok()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            files(&entry.path(), found, left);
        } else if kind.is_file()
            && let Ok(meta) = entry.metadata()
            // One huge file would be a layer that says nothing.
            && meta.len() < 30 << 20
        {
            *left = left.saturating_sub(meta.len());
            found.push((entry.path(), meta.len()));
        }
        if *left == 0 {
            return;
        }
    }
}

/// Makes gzip layers with `tar`, as image builders do.
fn layers(dir: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut left = LAYERS as u64 * LAYER_BYTES;
    for part in ["/usr/share", "/usr/lib", "/usr/bin", "/usr"] {
        files(Path::new(part), &mut found, &mut left);
    }
    let mut all = Vec::new();
    let mut found = found.into_iter();
    let mut unpacked = 0;
    let mut count = 0;
    for n in 0..LAYERS {
        let path = dir.join(format!("layer{n}.tar.gz"));
        let mut size = 0;
        let mut names = String::new();
        while size < LAYER_BYTES {
            let Some((file, bytes)) = found.next() else {
                break;
            };
            size += bytes;
            count += 1;
            names += &format!("{}\0", file.display());
        }
        unpacked += size;
        if !path.exists() {
            let list = dir.join("list");
            std::fs::write(&list, names)?;
            let status = Command::new("tar")
                .args(["--null", "--no-recursion", "-P", "-czf"])
                .arg(&path)
                .arg("-T")
                .arg(&list)
                .status()?;
            assert!(status.success());
        }
        all.push(std::fs::read(&path)?);
    }
    let packed: usize = all.iter().map(Vec::len).sum();
    println!(
        "{LAYERS} layers, {count} files, {} MB, {} MB gzip",
        unpacked / 1_000_000,
        packed / 1_000_000
    );
    Ok(all)
}

fn peak_rss() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let find = |key: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or("?")
            .trim()
            .to_owned()
    };
    format!("peak {}, now {}", find("VmHWM:"), find("VmRSS:"))
}

/// The store's own thread may still be at work in it.
fn remove(root: &Path) {
    while root.exists() {
        let _ = std::fs::remove_dir_all(root);
    }
}

fn run(work: &Path) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(work.join("registry"))?;
    let registry = start_registry(&work.join("registry"))?;
    let reference = Reference::parse(&format!("127.0.0.1:{}/bench:1", registry.1))?;
    if !work.join("pushed").exists() {
        let all = layers(work)?;
        let store = Store::open(&work.join("source"), Options::default())?;
        let all: Vec<_> = all.iter().map(Vec::as_slice).collect();
        let config = ImageConfig {
            os: "linux".into(),
            ..ImageConfig::default()
        };
        let image = store.add_image(&Reference::parse("bench")?, config, &all)?;
        let status = Command::new("skopeo")
            .args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false"])
            .arg(format!("oci:{}:{}", store.root().display(), image.tags[0]))
            .arg(format!("docker://{}", reference.familiar()))
            .status()?;
        assert!(status.success());
        std::fs::write(work.join("pushed"), "")?;
        // What is measured begins with a process that has done nothing.
        println!("pushed; run again to measure");
        return Ok(());
    }
    let rounds = std::env::args().nth(2).map_or(Ok(3), |n| n.parse())?;
    for round in 0..rounds {
        let root = work.join(format!("store{round}"));
        Command::new("sync").status()?;
        let store = Store::open(&root, Options::default())?;
        let before = Instant::now();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(store.pull(&reference, None, None, &|_| (), CancellationToken::new()))?;
        println!(
            "pull: {:.2} s, {}",
            before.elapsed().as_secs_f64(),
            peak_rss()
        );
        drop(runtime);
        Command::new("sync").status()?;
    }
    // Only now: an ext4 without a journal is slow to make files just after many were removed.
    (0..rounds).for_each(|round| remove(&work.join(format!("store{round}"))));
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let work = std::env::args()
        .nth(1)
        .ok_or("which directory to work in?")?;
    run(Path::new(&work))
}
