//! Whether the server works.

use super::context::App;
use super::error::AppError;

impl App {
    /// Asks the database something small.
    pub(crate) async fn health_check(&self) -> Result<(), AppError> {
        match self.store.user_any().await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the database fails"
                );
                Err(AppError::Stopping)
            }
        }
    }
}
