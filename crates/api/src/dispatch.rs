//! From a request to the section that serves it, and the headers that every answer has.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode},
};
use futures_util::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;
use types::version::ApiVersion;

use crate::{
    Server,
    answer::Answer,
    authz::{self, Approved},
    builds,
    connection::Handle,
    containers, create,
    endpoints::{Endpoint, Op},
    error::Refusal,
    exec, files, image_work, images, life, live, logs, networks, prune,
    query::Query,
    registries, registry_work, route, system, volumes, websocket,
};

/// A request on its way to its backend.
pub(crate) struct Call {
    pub(crate) server: Server,
    /// The API that its client speaks.
    pub(crate) version: ApiVersion,
    pub(crate) endpoint: &'static Endpoint,
    /// What stands for `{id}` or `{name}` in the path.
    pub(crate) name: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// The connection, for those that take it over.
    pub(crate) connection: Option<Handle>,
    /// Who has to be asked about the answer.
    pub(crate) approved: Option<Approved>,
    /// Cancelled when the server ends.
    pub(crate) closing: CancellationToken,
}

impl Call {
    /// Whether the client speaks this version or a newer one.
    pub(crate) fn since(&self, minor: u16) -> bool {
        self.version >= ApiVersion(1, minor)
    }
}

impl Server {
    /// The routes. Attaching needs the connection itself and works under [`Server::serve`] only.
    pub fn router(&self) -> Router {
        self.router_until(CancellationToken::new())
    }

    pub(crate) fn router_until(&self, closing: CancellationToken) -> Router {
        Router::new()
            .fallback(handle)
            .with_state((self.clone(), closing))
    }
}

async fn handle(
    State((server, closing)): State<(Server, CancellationToken)>,
    request: Request,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let method = parts.method.clone();
    let path = parts.uri.path().to_owned();
    let outcome = async {
        let route = route::find(method.as_str(), &path)?;
        let (approved, body) = authz::ask(&server, &parts, &route, body).await?;
        let answered = dispatch(Call {
            server,
            version: route.version,
            endpoint: route.endpoint,
            name: route.name,
            query: Query::parse(parts.uri.query().unwrap_or_default())?,
            headers: std::mem::take(&mut parts.headers),
            body,
            connection: parts.extensions.remove::<Handle>(),
            approved: approved.clone(),
            closing,
        })
        .await;
        match approved {
            None => answered,
            // What went wrong is an answer, too.
            Some(approved) => {
                let response = answered.unwrap_or_else(Response::from);
                approved.answer(response).await
            }
        }
    };
    let mut response: Response<Body> = outcome.await.unwrap_or_else(|refusal: Refusal| {
        tracing::debug!(%method, %path, status = refusal.status.as_u16(), "refused: {refusal}");
        refusal.into()
    });
    for (name, value) in COMMON {
        response
            .headers_mut()
            .insert(*name, HeaderValue::from_static(value));
    }
    response
}

/// `Server:` in every answer.
pub(crate) const SERVER: &str = concat!("Wharf/", env!("CARGO_PKG_VERSION"), " (linux)");

const COMMON: &[(&str, &str)] = &[
    ("api-version", "1.51"),
    ("docker-experimental", "false"),
    ("ostype", "linux"),
    ("server", SERVER),
];

fn dispatch(call: Call) -> BoxFuture<'static, Answer> {
    match call.endpoint.op {
        Op::Ping => std::future::ready(Ok(system::ping(&call))).boxed(),
        Op::Version => system::version(call).boxed(),
        Op::Info => system::info(call).boxed(),
        Op::Events => system::events(call).boxed(),
        Op::ImageList => images::list(call).boxed(),
        Op::ImageCreate => images::create(call).boxed(),
        Op::ImageLoad => images::load(call).boxed(),
        Op::ImageInspect => images::inspect(call).boxed(),
        Op::ImageTag => images::tag(call).boxed(),
        Op::ImageRemove => images::remove(call).boxed(),
        Op::ContainerCreate => create::create(call).boxed(),
        Op::ContainerList => containers::list(call).boxed(),
        Op::ContainerInspect => containers::inspect(call).boxed(),
        Op::ContainerStart => containers::start(call).boxed(),
        Op::ContainerStop => containers::stop(call).boxed(),
        Op::ContainerRestart => containers::restart(call).boxed(),
        Op::ContainerKill => containers::kill(call).boxed(),
        Op::ContainerWait => containers::wait(call).boxed(),
        Op::ContainerRemove => containers::remove(call).boxed(),
        Op::ContainerResize => containers::resize(call).boxed(),
        Op::ContainerLogs => logs::logs(call).boxed(),
        Op::ContainerAttach => logs::attach(call).boxed(),
        Op::ExecCreate => exec::create(call).boxed(),
        Op::ExecStart => exec::start(call).boxed(),
        Op::ExecResize => exec::resize(call).boxed(),
        Op::ExecInspect => exec::inspect(call).boxed(),
        Op::ContainerTop => life::top(call).boxed(),
        Op::ContainerStats => live::stats(call).boxed(),
        Op::ContainerChanges => files::changes(call).boxed(),
        Op::ContainerExport => files::export(call).boxed(),
        Op::ArchiveInfo => files::archive_info(call).boxed(),
        Op::ArchiveGet => files::archive_get(call).boxed(),
        Op::ArchivePut => files::archive_put(call).boxed(),
        Op::Commit => files::commit(call).boxed(),
        Op::ContainerUpdate => life::update(call).boxed(),
        Op::ContainerRename => life::rename(call).boxed(),
        Op::ContainerPause => life::pause(call).boxed(),
        Op::ContainerUnpause => life::unpause(call).boxed(),
        Op::ContainerPrune => life::prune(call).boxed(),
        Op::ContainerAttachWs => websocket::attach(call).boxed(),
        Op::ImageHistory => image_work::history(call).boxed(),
        Op::ImagePush => registries::push(call).boxed(),
        Op::ImageSearch => registries::search(call).boxed(),
        Op::ImagePrune => image_work::prune(call).boxed(),
        Op::Gc => image_work::collect(call).boxed(),
        Op::ImageGet => image_work::get(call).boxed(),
        Op::ImagesGet => image_work::get(call).boxed(),
        Op::Distribution => registries::distribution(call).boxed(),
        Op::Auth => registries::auth(call).boxed(),
        Op::RemoteManifest => registry_work::manifest(call).boxed(),
        Op::RemotePut => registry_work::put_index(call).boxed(),
        Op::RemoteRemove => registry_work::remove(call).boxed(),
        Op::Firewall => networks::firewall(call).boxed(),
        Op::RemoteTags => registry_work::tags(call).boxed(),
        Op::DiskUsage => live::disk_usage(call).boxed(),
        Op::NetworkList => networks::list(call).boxed(),
        Op::NetworkConnect => networks::connect(call).boxed(),
        Op::NetworkCreate => networks::create(call).boxed(),
        Op::NetworkDisconnect => networks::disconnect(call).boxed(),
        Op::NetworkInspect => networks::inspect(call).boxed(),
        Op::VolumePrune => prune::volumes(call).boxed(),
        Op::NetworkPrune => networks::prune(call).boxed(),
        Op::NetworkRemove => networks::remove(call).boxed(),
        Op::VolumeCopy => volumes::copy(call).boxed(),
        Op::VolumeCreate => volumes::create(call).boxed(),
        Op::VolumeExport => volumes::export(call).boxed(),
        Op::VolumeImport => volumes::import(call).boxed(),
        Op::VolumeInspect => volumes::inspect(call).boxed(),
        Op::VolumeList => volumes::list(call).boxed(),
        Op::VolumeRemove => volumes::remove(call).boxed(),
        Op::VolumeUpdate => volumes::update(call).boxed(),
        Op::Build => builds::build(call).boxed(),
        Op::BuildCancel => builds::cancel(call).boxed(),
        Op::BuildContents => builds::contents(call).boxed(),
        Op::BuildContext => builds::context(call).boxed(),
        Op::BuildPrune => builds::prune(call).boxed(),
        Op::BuildRecords => builds::records(call).boxed(),
        Op::BuildSession => builds::session(call).boxed(),
        Op::Unsupported => std::future::ready(unsupported(&call)).boxed(),
    }
}

/// Refuses an endpoint that is known and not served yet, by its name.
pub(crate) fn unsupported(call: &Call) -> Answer {
    let Endpoint { method, path, .. } = call.endpoint;
    let message = format!("{method} {path} is not supported by wharf yet");
    Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, message))
}
