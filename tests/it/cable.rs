//! A cable between two nodes, to be cut: a TCP relay.

use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) struct Cable {
    /// Whoever dials it reaches the other end.
    pub(crate) addr: String,
    cut: CancellationToken,
}

impl Cable {
    pub(crate) async fn to(target: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let addr = listener.local_addr().expect("an address").to_string();
        let (cut, target) = (CancellationToken::new(), target.to_owned());
        tokio::spawn(relay(listener, target, cut.clone()));
        Self { addr, cut }
    }

    /// Nothing passes any more, nor is anybody told: connections stay open, and whoever dials waits.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }
}

async fn relay(listener: TcpListener, target: String, cut: CancellationToken) {
    while let Ok((mut near, _)) = listener.accept().await {
        let (target, cut) = (target.clone(), cut.clone());
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(&target).await else { return };
            // An end of either side ends the pair.
            let both = tokio::io::copy_bidirectional(&mut near, &mut far);
            if cut.run_until_cancelled(both).await.is_none() {
                // Both ends are held, so that neither hears of the other's.
                std::future::pending::<()>().await;
            }
        });
    }
}
