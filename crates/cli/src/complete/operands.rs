//! What verbs are done to.

use super::{Asking, Offer, daemon::Which, line::Line};
use crate::verbs::Verb;

/// What could be the next operand of `verb`.
pub(super) async fn offer(asking: &Asking, verb: &Verb, line: &Line, current: &str) -> Offer {
    let first = line.operands.is_empty();
    let mut offer = match verb.names[0] {
        "container start" => Offer::of(asking.containers(Which::Resting).await),
        "container unpause" => Offer::of(asking.containers(Which::Paused).await),
        "container stop" | "container kill" | "container pause" | "container stats" => {
            Offer::of(asking.containers(Which::Running).await)
        }
        "container attach" | "container port" | "container top" | "container exec" if first => {
            Offer::of(asking.containers(Which::Running).await)
        }
        // A command within, whose files are not ours.
        "container exec" | "container top" => Offer::default(),
        "container logs" | "container rename" | "container diff" | "container commit"
        | "container export"
            if first =>
        {
            Offer::of(asking.containers(Which::All).await)
        }
        "container commit" => Offer::of(asking.images().await),
        "container rm" | "container wait" | "container inspect" | "container restart"
        | "container update" => Offer::of(asking.containers(Which::All).await),
        "container run" | "container create" if first => Offer::of(asking.images().await),
        "container cp" if !current.starts_with(['.', '/']) => Offer {
            words: Offer::of(asking.containers(Which::All).await)
                .words
                .into_iter()
                .map(|(name, about)| (format!("{name}:"), about))
                .collect(),
            open: true,
            files: true,
        },
        "container cp" | "image import" | "image build" | "context import" => Offer::files(),
        "image tag" | "image history" | "image ls" | "image push" if first => {
            Offer::of(asking.images().await)
        }
        "image tag" | "image rm" | "image save" | "image inspect" | "registry inspect"
        | "registry rm" | "manifest create" | "manifest annotate" | "manifest inspect" => {
            Offer::of(asking.images().await)
        }
        "volume inspect" | "volume rm" => Offer::of(asking.volumes().await),
        "volume clone" | "volume export" | "volume import" | "volume snapshot"
        | "volume update"
            if first =>
        {
            Offer::of(asking.volumes().await)
        }
        "volume import" => Offer::files(),
        "inspect" => {
            let mut names = asking.containers(Which::All).await;
            names.extend(asking.images().await);
            names.extend(asking.networks().await);
            names.extend(asking.volumes().await);
            Offer::of(names)
        }
        "network connect" | "network disconnect" if first => Offer::of(asking.networks().await),
        "network connect" if line.operands.len() == 1 => {
            Offer::of(asking.containers(Which::All).await)
        }
        "network disconnect" if line.operands.len() == 1 => {
            let network = line.operands.first().map_or("", String::as_str);
            Offer::of(asking.members(network).await)
        }
        "network inspect" => Offer::of(asking.networks().await),
        "network rm" => Offer::of(asking.own_networks().await),
        "context use" | "context export" | "context update" if first => {
            Offer::of(asking.contexts())
        }
        "context export" => Offer::files(),
        "context rm" | "context inspect" => Offer::of(asking.contexts()),
        "builder inspect" if first => Offer::of(["default"]),
        "completion" if first => Offer::of(["bash", "fish", "zsh"]),
        _ => Offer::default(),
    };
    // Naming one twice does nothing more.
    offer
        .words
        .retain(|(word, _)| !line.operands.contains(word));
    offer
}
