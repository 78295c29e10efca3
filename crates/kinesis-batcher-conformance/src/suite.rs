//! One test a case.

/// Makes one `#[test]` of each case for a [`Subject`](crate::Subject). To be put into a module of its own, since the
/// tests have the same names for each subject. `conformance!(Runtime, with an end)` adds the cases for
/// [`Ends`](crate::Ends).
#[macro_export]
macro_rules! conformance {
    ($subject:ty, with an end) => {
        $crate::conformance!($subject);
        $crate::__conformance_tests! { $subject; ending::dropping_the_runtime_releases_everybody, ; }
    };
    ($subject:ty) => {
        $crate::__conformance_tests! { $subject;
            delivery::what_goes_in_comes_out_once_while_limits_are_enforced,
            delivery::a_reshard_in_the_middle_loses_and_doubles_nothing,
            delivery::what_nobody_waits_for_is_told_to_the_handler,
            delivery::only_what_failed_is_told_to_a_handler_of_failures,
            delivery::an_endpoint_where_nobody_listens_is_named_at_once,
            room::a_full_buffer_makes_senders_wait_until_there_is_room,
            room::many_more_records_than_there_is_room_for_all_get_in,
            room::a_sender_that_waits_when_the_producer_closes_gets_its_record_back,
            senders::the_slowest_of_a_thousand_senders_takes_less_than_twice_the_median,
            senders::senders_on_threads_without_a_runtime_get_receipts,
            ending::a_flush_waits_for_all_that_was_accepted_before_it,
            ending::a_close_delivers_what_is_held,
            ending::a_close_ends_at_its_deadline_and_hands_back_the_rest,
            ending::dropping_the_last_handle_delivers_in_the_background,
            cancelling::a_send_given_up_at_any_point_loses_nothing,
            cancelling::a_send_of_many_given_up_at_any_point_loses_nothing,
            cancelling::a_flush_given_up_at_any_point_leaves_the_next_one_whole,
            cancelling::a_delivery_given_up_at_any_point_is_delivered_all_the_same,
            cancelling::a_close_given_up_at_any_point_still_closes,
            cancelling::a_connect_given_up_at_any_point_can_be_made_again,
            cancelling::a_request_given_up_at_any_point_is_sent_once_at_most,
            timers::timers_are_ready_in_the_order_of_their_times_and_never_early,
            timers::a_timer_can_be_set_earlier_later_and_again,
            timers::a_timer_for_a_time_that_has_come_is_ready_soon,
            timers::a_timer_for_a_far_time_waits_and_can_be_called_back,
            timers::a_timer_moves_to_the_task_that_polled_it_last,
            timers::the_sdk_sleeps_as_long_as_it_asks_for,
            faults::after_each_fault_all_is_delivered_and_doubt_is_told_where_there_is_any,
            faults::nothing_is_lost_in_a_swarm_of_faults,
            faults::records_sent_while_nobody_listens_arrive_later_and_are_not_in_doubt,
            faults::a_connection_that_was_closed_while_it_was_kept_costs_no_doubt,
            faults::connections_are_kept_and_used_again,
            transport::a_transport_that_panics_costs_attempts_and_no_records,
            ;
            tls::what_goes_in_over_tls_comes_out_once,
            tls::a_connection_that_dies_under_its_requests_costs_no_record,
            tls::after_each_fault_over_tls_all_is_delivered_and_doubt_is_told_where_there_is_any,
            tls::a_request_over_tls_given_up_at_any_point_is_sent_once_at_most,
            tls::a_certificate_of_an_unknown_authority_is_refused_and_the_message_says_so,
            tls::a_certificate_for_another_host_is_refused_and_the_message_says_so,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($subject:ty; $($topic:ident :: $case:ident,)* ; $($tls:ident :: $child:ident,)*) => {
        $(
            #[test]
            fn $case() {
                $crate::cases::$topic::$case::<$subject>();
            }
        )*
        $(
            #[test]
            fn $child() {
                $crate::in_child(module_path!(), stringify!($child), $crate::cases::$tls::$child::<$subject>);
            }
        )*
    };
}
