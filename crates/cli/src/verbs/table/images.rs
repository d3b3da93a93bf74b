//! Images on this host.

use super::super::{Args, Verb, image, images, inspect, pull};

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        names: &["image inspect"],
        usage: "[OPTIONS] IMAGE [IMAGE...]",
        about: "Show everything about images",
        flags: &[inspect::IMAGE],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(inspect::images(c, m)),
    },
    Verb {
        names: &["image ls", "image list", "images"],
        usage: "[OPTIONS] [REPOSITORY[:TAG]]",
        about: "List images",
        flags: &[images::FLAGS],
        args: Args::AtMost(1),
        mixed: true,
        run: |c, m| Box::pin(images::images(c, m)),
    },
    Verb {
        names: &["image pull", "pull"],
        usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
        about: "Fetch an image from a registry",
        flags: &[pull::FLAGS],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(pull::pull(c, m)),
    },
    Verb {
        names: &["image rm", "image remove", "rmi"],
        usage: "[OPTIONS] IMAGE [IMAGE...]",
        about: "Remove images",
        flags: &[image::RM],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(image::rm(c, m)),
    },
    Verb {
        names: &["image tag", "tag"],
        usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        about: "Give an image a further name",
        flags: &[],
        args: Args::Exactly(2),
        mixed: true,
        run: |c, m| Box::pin(image::tag(c, m)),
    },
    Verb {
        names: &["image load", "load"],
        usage: "[OPTIONS]",
        about: "Take images in from an archive",
        flags: &[image::LOAD],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(image::load(c, m)),
    },
    Verb {
        names: &["image import", "import"],
        usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        about: "Make an image from an archive of a file system",
        flags: &[image::IMPORT],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(image::import(c, m)),
    },
];
