"""The article's four tables and four indexes."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS trigger_executions (
  execution_id varchar(50) PRIMARY KEY, trigger_id varchar(50) NOT NULL, customer_id varchar(100) NOT NULL,
  event_id varchar(50), status varchar(20) NOT NULL, triggered_at timestamp NOT NULL, processed_at timestamp,
  actions_executed jsonb DEFAULT '[]', suppression_reason text, metadata jsonb DEFAULT '{}',
  created_at timestamp DEFAULT now());
CREATE TABLE IF NOT EXISTS customer_events (
  event_id varchar(50) PRIMARY KEY, customer_id varchar(100) NOT NULL, event_type varchar(100) NOT NULL,
  event_data jsonb NOT NULL, timestamp timestamp NOT NULL, session_id varchar(100), source varchar(50),
  device_info jsonb DEFAULT '{}', location_data jsonb DEFAULT '{}', metadata jsonb DEFAULT '{}',
  processed boolean DEFAULT false, created_at timestamp DEFAULT now());
CREATE TABLE IF NOT EXISTS customer_behavior_profiles (
  customer_id varchar(100) PRIMARY KEY, behavior_segment varchar(50), engagement_score float, lifetime_value float,
  last_activity timestamp, preferences jsonb DEFAULT '{}', trigger_history jsonb DEFAULT '{}',
  behavioral_patterns jsonb DEFAULT '{}', updated_at timestamp DEFAULT now());
CREATE INDEX IF NOT EXISTS executions_customer ON trigger_executions (customer_id, trigger_id, triggered_at DESC);
CREATE INDEX IF NOT EXISTS events_customer ON customer_events (customer_id, timestamp DESC);
CREATE INDEX IF NOT EXISTS events_type ON customer_events (event_type, timestamp DESC);
CREATE INDEX IF NOT EXISTS executions_status ON trigger_executions (status, triggered_at DESC);
"""
EMPTY = "TRUNCATE trigger_executions, customer_events, customer_behavior_profiles"
STORE_EVENT = """
INSERT INTO customer_events (event_id, customer_id, event_type, event_data, timestamp, session_id, source, device_info,
  location_data, metadata) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
EVENTS_SINCE = """
SELECT event_type, event_data, timestamp FROM customer_events WHERE customer_id = $1 AND timestamp >= $2
ORDER BY timestamp
"""
PROFILE = """
SELECT behavior_segment, engagement_score, lifetime_value, last_activity, preferences, trigger_history,
  behavioral_patterns FROM customer_behavior_profiles WHERE customer_id = $1
"""
STORE_PROFILE = """
INSERT INTO customer_behavior_profiles (customer_id, behavior_segment, engagement_score, lifetime_value, last_activity,
  preferences, trigger_history, behavioral_patterns) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (customer_id) DO UPDATE SET behavior_segment = excluded.behavior_segment,
  engagement_score = excluded.engagement_score, lifetime_value = excluded.lifetime_value,
  last_activity = excluded.last_activity, behavioral_patterns = excluded.behavioral_patterns, updated_at = now()
"""
STORE_EXECUTION = """
INSERT INTO trigger_executions (execution_id, trigger_id, customer_id, event_id, status, triggered_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
UPDATE_EXECUTION = """
UPDATE trigger_executions SET status = $2, processed_at = $3, actions_executed = $4 WHERE execution_id = $1
"""
