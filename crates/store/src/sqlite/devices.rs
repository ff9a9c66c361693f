//! Programs that ask to sign in.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::device::{DeviceGrant, DevicePoll, DeviceStatus, DeviceView};
use vm0_model::{Timestamp, UserId};

use crate::contract::DeviceStore;
use crate::error::StoreError;
use crate::record::{
    AuditAction, DeviceCreateOutcome, DeviceDecideOutcome, DeviceDecision, DeviceRecord,
    DeviceRedeem, DeviceRedeemOutcome, NewDevice, TokenOwner, TokenRecord, UserRecord,
};
use crate::sqlite::audit;
use crate::sqlite::columns::Columns;
use crate::sqlite::store::SqliteStore;
use crate::sqlite::users::token_create;

type Result<T> = std::result::Result<T, StoreError>;

pub(super) const COUNT_WAITING: &str = "SELECT count(*) FROM device_codes WHERE expires_at > $1";
pub(super) const BY_USER_CODE: &str = "SELECT client, address, status, polled_at, expires_at, created_at \
     FROM device_codes WHERE user_code_hash = $1";
pub(super) const BY_CODE: &str = "SELECT d.status, d.polled_at, d.expires_at, d.user_id, u.name AS user_name \
     FROM device_codes d LEFT JOIN users u ON u.id = d.user_id WHERE d.hash = $1";

#[async_trait]
impl DeviceStore for SqliteStore {
    async fn device_create(&self, device: NewDevice) -> Result<DeviceCreateOutcome> {
        self.write(move |connection| device_create(connection, device).boxed())
            .await
    }

    async fn device_view(&self, user_code_hash: &str) -> Result<Option<DeviceRecord>> {
        let row = sqlx::query(BY_USER_CODE)
            .bind(user_code_hash)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(device).transpose()
    }

    async fn device_decide(&self, decision: DeviceDecision) -> Result<DeviceDecideOutcome> {
        self.write(move |connection| device_decide(connection, decision).boxed())
            .await
    }

    async fn device_redeem(&self, redeem: DeviceRedeem) -> Result<DeviceRedeemOutcome> {
        let redeemed = self
            .write(move |connection| device_redeem(connection, redeem).boxed())
            .await;
        self.tokens().forget();
        redeemed
    }
}

async fn device_create(
    connection: &mut SqliteConnection,
    device: NewDevice,
) -> Result<DeviceCreateOutcome> {
    let waiting: i64 = sqlx::query_scalar(COUNT_WAITING)
        .bind(device.now.micros())
        .fetch_one(&mut *connection)
        .await?;
    if waiting >= i64::from(device.waiting_max) {
        return Ok(DeviceCreateOutcome::TooMany);
    }
    let made = sqlx::query(
        "INSERT INTO device_codes (hash, user_code_hash, client, address, status, expires_at, \
         created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(device.hash)
    .bind(device.user_code_hash)
    .bind(device.client)
    .bind(device.address)
    .bind(DeviceStatus::Pending.to_string())
    .bind(device.expires_at.micros())
    .bind(device.now.micros())
    .execute(connection)
    .await?;
    Ok(match made.rows_affected() {
        0 => DeviceCreateOutcome::CodeTaken,
        _ => DeviceCreateOutcome::Created,
    })
}

async fn device_decide(
    connection: &mut SqliteConnection,
    decision: DeviceDecision,
) -> Result<DeviceDecideOutcome> {
    let found = sqlx::query(BY_USER_CODE)
        .bind(&decision.user_code_hash)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = found else {
        return Ok(DeviceDecideOutcome::Unknown);
    };
    let view = device(&row)?.grant.view(decision.now);
    if view == DeviceView::Open {
        let (status, action) = match decision.approved {
            true => (DeviceStatus::Approved, AuditAction::DeviceApprove),
            false => (DeviceStatus::Denied, AuditAction::DeviceDeny),
        };
        let client = device(&row)?.client.unwrap_or_default();
        sqlx::query("UPDATE device_codes SET status = $2, user_id = $3 WHERE user_code_hash = $1")
            .bind(decision.user_code_hash)
            .bind(status.to_string())
            .bind(decision.user.to_string())
            .execute(&mut *connection)
            .await?;
        audit::note(connection, action, || format!("device {client}")).await?;
    }
    Ok(DeviceDecideOutcome::Known(view))
}

async fn device_redeem(
    connection: &mut SqliteConnection,
    redeem: DeviceRedeem,
) -> Result<DeviceRedeemOutcome> {
    let found = sqlx::query(BY_CODE)
        .bind(&redeem.hash)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = found else {
        return Ok(DeviceRedeemOutcome::Expired);
    };
    let columns = columns(&row);
    let poll = grant(&columns)?.poll(redeem.now);
    sqlx::query("UPDATE device_codes SET polled_at = $2 WHERE hash = $1")
        .bind(&redeem.hash)
        .bind(redeem.now.micros())
        .execute(&mut *connection)
        .await?;
    Ok(match poll {
        DevicePoll::Pending => DeviceRedeemOutcome::Pending,
        DevicePoll::SlowDown => DeviceRedeemOutcome::SlowDown,
        DevicePoll::Denied => DeviceRedeemOutcome::Denied,
        DevicePoll::Expired => DeviceRedeemOutcome::Expired,
        DevicePoll::Granted => {
            let id: UserId = columns.parse("user_id")?;
            let name = columns.get("user_name")?;
            let user = UserRecord { id, name };
            grant_token(connection, redeem, user.clone()).await?;
            DeviceRedeemOutcome::Granted(user)
        }
    })
}

async fn grant_token(
    connection: &mut SqliteConnection,
    redeem: DeviceRedeem,
    user: UserRecord,
) -> Result<()> {
    sqlx::query("UPDATE device_codes SET status = $2 WHERE hash = $1")
        .bind(redeem.hash)
        .bind(DeviceStatus::Redeemed.to_string())
        .execute(&mut *connection)
        .await?;
    let token = TokenRecord {
        id: redeem.token.id,
        owner: TokenOwner::User(user),
        name: redeem.token.name,
        hash: redeem.token.hash,
        prefix: redeem.token.prefix,
        expires_at: Some(redeem.token.expires_at),
        last_used_at: None,
        created_at: redeem.now,
    };
    token_create(connection, token).await
}

fn columns(row: &SqliteRow) -> Columns<'_> {
    Columns {
        table: "device_codes",
        row,
    }
}

fn grant(columns: &Columns<'_>) -> Result<DeviceGrant> {
    Ok(DeviceGrant {
        status: columns.parse("status")?,
        polled_at: columns.time_opt("polled_at")?,
        expires_at: columns.time("expires_at")?,
    })
}

fn device(row: &SqliteRow) -> Result<DeviceRecord> {
    let columns = columns(row);
    let created_at: Timestamp = columns.time("created_at")?;
    Ok(DeviceRecord {
        client: columns.get("client")?,
        address: columns.get("address")?,
        grant: grant(&columns)?,
        created_at,
    })
}
