//! Answers questions for addresses; nothing is asked of anybody.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use vm0_guest::dns::{Code, MAX_QUERY, Query, Question};

use super::pool::Pool;

/// Connections to the resolver at one time; further ones wait.
pub(crate) const MAX_CONNECTIONS: usize = 16;
/// How long a program may keep an address. One that keeps it longer is refused once the name is
/// forgotten: the address is not soon given to another.
const TTL_SECONDS: u32 = 30;
/// Queries on one connection.
const MAX_QUERIES: usize = 1024;

/// The reply to a query, if it is to have one.
pub(crate) fn reply(pool: &Pool, query: &[u8]) -> Option<Vec<u8>> {
    let query = Query::parse(query)?;
    Some(match &query.question {
        Question::Address(name) => match pool.address(name) {
            Some(address) => query.reply(Code::NoError, Some(address), TTL_SECONDS),
            None => query.reply(Code::Refused, None, 0),
        },
        Question::Other(code) => query.reply(*code, None, 0),
    })
}

/// Answers the queries on a connection, each preceded by its length.
pub(crate) async fn serve(pool: &Pool, mut stream: DuplexStream) {
    for _ in 0..MAX_QUERIES {
        let Ok(length) = stream.read_u16().await else {
            return;
        };
        let mut query = vec![0; usize::from(length)];
        if query.len() > MAX_QUERY || stream.read_exact(&mut query).await.is_err() {
            return;
        }
        let Some(reply) = reply(pool, &query) else {
            return;
        };
        let length = u16::try_from(reply.len()).expect("replies are short");
        let framed = [&length.to_be_bytes()[..], &reply].concat();
        if stream.write_all(&framed).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::net::address::POOL;

    /// A question for the address of `a.example`.
    const QUERY: &[u8] = b"\x00\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";

    #[test]
    fn a_name_is_answered_with_an_address_of_the_pool() {
        let pool = Pool::default();
        let reply = reply(&pool, QUERY).unwrap();
        let octets: [u8; 4] = reply[reply.len() - 4..].try_into().unwrap();
        assert_eq!(Ipv4Addr::from(octets), POOL);
        assert_eq!(pool.hold(POOL).unwrap().name(), "a.example");
    }

    #[tokio::test]
    async fn a_connection_carries_several_queries_and_ends_with_a_bad_one() {
        let pool = Pool::default();
        let (mut near, far) = tokio::io::duplex(4096);
        let length = u16::try_from(QUERY.len()).unwrap().to_be_bytes();
        let query = [&length[..], QUERY].concat();
        near.write_all(&[&query[..], &query, b"\xff\xff"].concat())
            .await
            .unwrap();
        serve(&pool, far).await;
        let mut replies = Vec::new();
        near.read_to_end(&mut replies).await.unwrap();
        assert_eq!(replies.len(), 2 * (QUERY.len() + 2 + 16));
        assert_eq!(replies[..replies.len() / 2], replies[replies.len() / 2..]);
    }
}
