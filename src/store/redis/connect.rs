//! From an address to connections that mend themselves.

use std::time::Duration;

use base::clock::SharedClock;
use base::http::{install_tls_provider, system_roots};
use base::secret::Secret;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, TlsCertificates,
};

use super::{PATIENCE, Redis, failure};
use crate::session::store::Failure;

/// What a start allows for a connection to a server that has just answered.
const START: Duration = Duration::from_secs(5);

/// One try to connect. A server that is back is found by the next one.
const CONNECT: Duration = Duration::from_secs(1);

/// Between two tries to connect, at most.
const PAUSE: Duration = Duration::from_millis(500);

/// A peer that acknowledges nothing for so long is given up, and the next try may find its successor.
#[cfg(target_os = "linux")]
const SILENCE: Duration = Duration::from_secs(5);

impl Redis {
    /// Connects to `redis://` or `rediss://`; names on the server begin with `prefix`. All connections are there when it
    /// returns: no first request waits for one. Afterwards a lost connection is made again in the background for as long
    /// as it takes.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, does not prove who it is, or refuses user and password.
    pub async fn connect(url: &Secret<String>, prefix: &str, clock: SharedClock) -> Result<Self, Failure> {
        let client = client(url).map_err(|error| failure("connect", error))?;
        let once = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(PATIENCE));
        // The managers try for ever and cannot say why they fail: this one can.
        let mut trial = client
            .get_multiplexed_async_connection_with_config(&once)
            .await
            .map_err(|error| failure("connect", error))?;
        redis::cmd("PING").exec_async(&mut trial).await.map_err(|error| failure("connect", error))?;
        let commands = manager(&client, Some(PATIENCE)).map_err(|error| failure("connect", error))?;
        let waiting = manager(&client, None).map_err(|error| failure("connect", error))?;
        tokio::try_join!(wait_for(commands.clone()), wait_for(waiting.clone()))?;
        Ok(Self::over(commands, waiting, prefix, clock))
    }
}

/// Until `connection` is there: a manager makes it while somebody asks for it, and no longer.
async fn wait_for(mut connection: ConnectionManager) -> Result<(), Failure> {
    let ping = redis::cmd("PING");
    let answer = tokio::time::timeout(START, ping.exec_async(&mut connection)).await;
    answer.map_err(|late| failure("connect", late))?.map_err(|error| failure("connect", error))
}

fn manager(client: &Client, answer: Option<Duration>) -> redis::RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(answer)
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(PAUSE)
        .set_number_of_retries(usize::MAX); // what it cost to give up: the error would wait for the next request
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// RESP3, because its connections notice at once that they are lost.
fn client(url: &Secret<String>) -> redis::RedisResult<Client> {
    let info = url.expose().as_str().into_connection_info()?;
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(SILENCE);
    let info = info.set_redis_settings(redis).set_tcp_settings(tcp);
    if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        return Client::open(info);
    }
    install_tls_provider();
    Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: system_roots() })
}
