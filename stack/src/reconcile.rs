//! The order of the steps inside the namespaces. Independent ones run side by side.

use std::path::Path;

use anyhow::{Context as _, Result};
use tokio::sync::Notify;

use crate::console::Progress;
use crate::images;
use crate::instance::Instance;
use crate::steps::{
    Inside, Order, argocd, context, control_plane, dns, gitea, network, node, pki, platform, pool,
    portal, runtime, source,
};

pub(crate) async fn run(instance: Instance, order: &Path) -> Result<()> {
    let text = std::fs::read_to_string(order)
        .with_context(|| format!("cannot read {}", order.display()))?;
    let order: Order = serde_json::from_str(&text)?;
    let progress = Progress::since(order.began);
    let inside = Inside {
        instance,
        order,
        progress,
    };
    network::up(&inside).await?;
    pki::up(&inside).await?;
    let (changed, (), ()) =
        tokio::try_join!(cluster(&inside), databases(&inside), people(&inside))?;
    if inside.order.seed.product {
        platform::applications(&inside).await?;
    }
    if inside.order.seed.product && inside.order.built.programs.is_some() {
        platform::up(&inside, &changed).await?;
        platform::ready(&inside).await?;
        platform::linked(&inside).await?;
    }
    context::write(&inside).await
}

/// After a change of the code: the images again, and the pods whose image changed.
pub(crate) async fn load_images(instance: Instance, order: &Path) -> Result<()> {
    let order: Order = serde_json::from_str(&std::fs::read_to_string(order)?)?;
    let progress = Progress::since(order.began);
    let inside = Inside {
        instance,
        order,
        progress,
    };
    let changed = runtime::import(&inside, &images::platform(&inside.order.built)).await?;
    platform::up(&inside, &changed).await?;
    platform::ready(&inside).await
}

/// The images come in while the API server starts. Gives the platform's images that changed.
async fn cluster(inside: &Inside) -> Result<Vec<&'static str>> {
    let serving = Notify::new();
    let api = async {
        control_plane::api(inside).await?;
        serving.notify_one();
        let argocd = async {
            argocd::configure(inside).await?;
            argocd::up(inside).await
        };
        tokio::try_join!(control_plane::controllers(inside), argocd)
    };
    let node = async {
        runtime::up(inside).await?;
        runtime::import(inside, &images::base(&inside.order.built)).await?;
        serving.notified().await;
        let dns = async {
            node::up(inside).await?;
            // Not before there is a node: the scheduler comes back late to what it could not place.
            dns::up(inside).await
        };
        let platform = images::platform(&inside.order.built);
        let (changed, ()) = tokio::try_join!(runtime::import(inside, &platform), dns)?;
        Ok(changed)
    };
    tokio::try_join!(node, api).map(|(changed, _)| changed)
}

async fn databases(inside: &Inside) -> Result<()> {
    tokio::try_join!(pool::up(inside), source::up(inside)).map(drop)
}

async fn people(inside: &Inside) -> Result<()> {
    gitea::up(inside).await?;
    match &inside.order.built.portal {
        Some(portal) => portal::up(inside, portal).await,
        None => Ok(()),
    }
}
