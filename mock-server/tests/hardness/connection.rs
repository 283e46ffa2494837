//! HTTP by hand, and strict: what is not exactly an answer is an error.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// To one server; kept alive as long as the server keeps it.
pub(crate) struct Connection {
    address: SocketAddr,
    socket: Option<BufReader<TcpStream>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self {
            address,
            socket: None,
        }
    }

    /// One request and its answer to the end. A connection that was kept may have been closed
    /// meanwhile, as when an answer came before the body was read; a new one may not.
    pub(crate) async fn post(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<Answer> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: mock\r\nuser-agent: KimiCLI/1.51.0\r\nauthorization: Bearer sk-any\r\nx-api-key: sk-any\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        if let Some(kept) = self.socket.take()
            && let Ok(answer) = self.ask(kept, &request).await
        {
            return Ok(answer);
        }
        let new = BufReader::new(TcpStream::connect(self.address).await?);
        self.ask(new, &request).await
    }

    async fn ask(&mut self, mut socket: BufReader<TcpStream>, request: &[u8]) -> Result<Answer> {
        socket.write_all(request).await?;
        let status = status(&line(&mut socket).await?)?;
        let headers = headers(&mut socket).await?;
        let body = read_body(&mut socket, status, &headers).await?;
        if headers.get("connection").is_none_or(|word| word != "close") {
            self.socket = Some(socket);
        }
        let body = String::from_utf8(body).map_err(|fault| broken(&fault.to_string()))?;
        Ok(Answer { status, body })
    }
}

fn status(line: &str) -> Result<u16> {
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let status = status.ok_or_else(|| broken(line))?;
    status.parse().map_err(|_no_number| broken(line))
}

async fn headers(socket: &mut BufReader<TcpStream>) -> Result<HashMap<String, String>> {
    let mut headers = HashMap::new();
    loop {
        let line = line(socket).await?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(": ").ok_or_else(|| broken(&line))?;
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
}

async fn read_body(
    socket: &mut BufReader<TcpStream>,
    status: u16,
    headers: &HashMap<String, String>,
) -> Result<Vec<u8>> {
    if let Some(length) = headers.get("content-length") {
        let length = length.parse().map_err(|_no_number| broken(length))?;
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        return Ok(body);
    }
    if status == 204 {
        return Ok(Vec::new());
    }
    if headers
        .get("transfer-encoding")
        .is_none_or(|coding| coding != "chunked")
    {
        return Err(broken("nothing says where the body ends"));
    }
    let mut body = Vec::new();
    loop {
        let size = line(socket).await?;
        let size = usize::from_str_radix(&size, 16).map_err(|_no_number| broken(&size))?;
        let start = body.len();
        body.resize(start + size, 0);
        socket.read_exact(&mut body[start..]).await?;
        let end = line(socket).await?;
        if !end.is_empty() {
            return Err(broken(&end));
        }
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Up to the end of the line, without it.
async fn line(socket: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    socket.read_line(&mut line).await?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(broken(&format!("the connection ends within `{line}`"))),
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
