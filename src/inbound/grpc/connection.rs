//! Connections that remember in which term they began: what was sent to a former term, and is delivered late, is not
//! executed in this one (see [`Line`]).

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::Extensions;
use tonic::transport::server::{Connected, TcpConnectInfo, TlsConnectInfo};

use crate::shell::Line;

type Tls = TlsConnectInfo<TcpConnectInfo>;

/// A connection, and in which term it was accepted.
pub(super) struct Begun<IO> {
    pub(super) io: IO,
    pub(super) line: Line,
}

/// What a request knows of its connection.
#[derive(Debug, Clone)]
pub(super) struct Origin<I> {
    info: I,
    line: Line,
}

impl<IO: Connected> Connected for Begun<IO> {
    type ConnectInfo = Origin<IO::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Origin { info: self.io.connect_info(), line: self.line }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Begun<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Begun<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// What is known of a caller's TLS, if it speaks it.
pub(super) fn tls(extensions: &Extensions) -> Option<&Tls> {
    extensions.get::<Origin<Tls>>().map(|origin| &origin.info)
}

/// Where the caller is.
pub(super) fn address(extensions: &Extensions) -> Option<SocketAddr> {
    let plain = extensions.get::<Origin<TcpConnectInfo>>().and_then(|origin| origin.info.remote_addr());
    plain.or_else(|| tls(extensions).and_then(|t| t.get_ref().remote_addr()))
}

/// The caller's connection; one that is not known belongs to no term.
pub(super) fn line(extensions: &Extensions) -> Line {
    let plain = extensions.get::<Origin<TcpConnectInfo>>().map(|origin| origin.line);
    let known = plain.or_else(|| extensions.get::<Origin<Tls>>().map(|origin| origin.line));
    known.unwrap_or(Line::Since(None))
}
