//! One Unix socket per forwarded port: what connects to it is joined with its target inside.

use std::path::Path;

use anyhow::{Context as _, Result};
use tokio::net::{TcpStream, UnixListener};

pub(crate) fn serve(socket: &Path, target: String) -> Result<()> {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    tokio::spawn(async move {
        while let Ok((mut outer, _)) = listener.accept().await {
            let target = target.clone();
            tokio::spawn(async move {
                // Nothing listens inside yet: the connection closes, as a refused one would.
                let Ok(mut inner) = TcpStream::connect(target.as_str()).await else {
                    return;
                };
                let _ = inner.set_nodelay(true);
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    Ok(())
}
