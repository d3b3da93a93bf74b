//! A full disk ends in a clear state.

use testkit::{Daemon, Host, Opts, images};

#[test]
fn full() {
    let opts = Opts {
        data_size: Some("40m".into()),
        ..Opts::default()
    };
    let d = Daemon::start(&Host::new(), opts);
    let big = images::variant(
        "too-big",
        |layer| {
            // Random, so that nothing compresses it.
            let mut bytes = vec![0_u8; 60 << 20];
            let mut state = 1_u64;
            for byte in bytes.chunks_mut(8) {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                byte.copy_from_slice(&(state ^ (state >> 29)).to_le_bytes());
            }
            layer.file("big", 0o644, bytes)
        },
        &serde_json::json!({}),
    );
    for cli in d.clis() {
        let out = cli.run(&format!("load -i {}", big.display()));
        let said = out.stdout.clone() + &out.stderr;
        assert!(out.code != 0 || said.contains("no space"), "{out}");
        assert!(
            said.to_lowercase().contains("no space left on device"),
            "{out}"
        );
        assert_eq!(cli.ok("images -q"), "");
    }
    d.load(&images::busybox_tar());
    for cli in d.clis() {
        // A container that fills the disk hears of it itself, and the daemon goes on.
        let out = cli.run("run --name eater busybox dd if=/dev/zero of=/fill bs=1M count=100");
        assert_ne!(out.code, 0, "{out}");
        assert!(out.stderr.contains("No space left"), "{out}");
        cli.ok("rm eater");
        assert_eq!(cli.code("run --rm busybox true"), 0);
    }
    d.assert_no_leaks();
}
